/** Path templates of `google.api.http`, parsed by the grammar in google/api/http.proto and nothing beyond it. */

/** One segment of a template, variables taken apart. */
export type Segment =
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "single" }
  | { readonly kind: "multi" };

/** A variable, and the segments that it captures. */
export interface TemplateVariable {
  /** Field path in the request message, such as `["order", "id"]`. */
  readonly fieldPath: readonly string[];
  /** Index of its first segment. */
  readonly start: number;
  /** Index after its last segment. */
  readonly end: number;
  /** Whether its template is more than one segment, so that `%2F` stays as it is in its value. */
  readonly multi: boolean;
}

/** A parsed template. */
export interface Template {
  /** As written. */
  readonly source: string;
  readonly segments: readonly Segment[];
  readonly variables: readonly TemplateVariable[];
  /** The text after the last colon, decoded; empty if there is no verb. */
  readonly verb: string;
}
