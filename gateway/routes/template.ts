/** Path templates of `google.api.http`, parsed by the grammar in google/api/http.proto and nothing beyond it. */
import { decodeSegment } from "./percent.ts";

/** One segment of a template, variables taken apart: a decoded literal, `*`, or `**`. */
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
  /** Whether its template is more than one segment, or `**`: then `%2F` stays as it is in its value. */
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

/** A template that breaks the grammar. Its message names the template, the column and the rule. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
  /** Where it is wrong, counted from 1. */
  readonly column: number;

  constructor(source: string, index: number, rule: string) {
    super(`"${source}", column ${index + 1}: ${rule}`);
    this.column = index + 1;
  }
}

/**
 * Parses a template.
 * @throws TemplateError
 */
export function parseTemplate(source: string): Template {
  const parser = new Parser(source);
  parser.expect("/", 'a path template begins with "/"');
  parser.segments(false);
  const verb = parser.verb();
  if (!parser.done())
    parser.fail(parser.at(":") ? 'a ":" within a segment is written %3A' : parser.unexpected());
  return { source, segments: parser.found, variables: parser.variables, verb };
}

const IDENTIFIER = /[A-Za-z_][A-Za-z0-9_]*/y;

// RFC 3986 pchar without the characters that the grammar uses itself, and text beyond ASCII, which is sent encoded.
const LITERAL = /(?:[A-Za-z0-9\-._~!$&'()+,;=@]|%[0-9A-Fa-f]{2}|[^\0-\x7f\s])+/y;

/** Recursive descent; `position` is always at the next unread character. */
class Parser {
  readonly found: Segment[] = [];
  readonly variables: TemplateVariable[] = [];
  readonly #source: string;
  #position = 0;

  constructor(source: string) {
    this.#source = source;
  }

  segments(inVariable: boolean): void {
    do this.#segment(inVariable);
    while (this.#take("/"));
  }

  verb(): string {
    return this.#take(":") ? this.#literal("a verb") : "";
  }

  expect(text: string, rule: string): void {
    if (!this.#take(text)) this.fail(rule);
  }

  done(): boolean {
    return this.#position === this.#source.length;
  }

  at(text: string): boolean {
    return this.#source.startsWith(text, this.#position);
  }

  unexpected(): string {
    return this.done() ? "unexpected end" : `unexpected "${String.fromCodePoint(this.#code())}"`;
  }

  fail(rule: string, index = this.#position): never {
    throw new TemplateError(this.#source, index, rule);
  }

  #segment(inVariable: boolean): void {
    if (this.found.at(-1)?.kind === "multi") this.fail('"**" must be the last segment');
    if (this.at("{")) {
      if (inVariable) this.fail("a variable must not contain another one");
      this.#variable();
    } else if (this.#take("**")) {
      this.found.push({ kind: "multi" });
    } else if (this.#take("*")) {
      this.found.push({ kind: "single" });
    } else {
      this.found.push({ kind: "literal", text: this.#literal("a segment") });
    }
    if (this.at("*")) this.fail('"*" and "**" must be whole segments');
    if (this.at("{")) this.fail("a variable must be whole segments");
  }

  #variable(): void {
    const index = this.#position;
    this.#take("{");
    const fieldPath = [this.#identifier()];
    while (this.#take(".")) fieldPath.push(this.#identifier());
    const start = this.found.length;
    if (this.#take("=")) this.segments(true);
    else this.found.push({ kind: "single" });
    this.expect("}", `${this.unexpected()} in a variable, which ends with "}"`);
    const name = fieldPath.join(".");
    if (this.variables.some((variable) => variable.fieldPath.join(".") === name)) {
      this.fail(`the variable "${name}" stands there twice`, index);
    }
    if (!this.done() && !this.at("/") && !this.at(":")) this.fail("a variable must be whole segments");
    const end = this.found.length;
    this.variables.push({
      fieldPath,
      start,
      end,
      multi: end - start > 1 || this.found[start]?.kind === "multi",
    });
  }

  #identifier(): string {
    return this.#match(IDENTIFIER) ?? this.fail("a variable is a path of field names, such as {order.id}");
  }

  #literal(what: string): string {
    const index = this.#position;
    const text = this.#match(LITERAL);
    if (text === undefined) this.fail(`${what} must not be empty: ${this.unexpected()}`);
    return decodeSegment(text) ?? this.fail("the percent-encoding is not UTF-8", index);
  }

  #take(text: string): boolean {
    if (!this.at(text)) return false;
    this.#position += text.length;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    const text = pattern.exec(this.#source)?.[0];
    this.#position += text?.length ?? 0;
    return text;
  }

  #code(): number {
    return this.#source.codePointAt(this.#position) ?? 0;
  }
}
