/** What `Cache-Control` of a request asks of the cache (RFC 9111, 5.2.1). What is not known here is ignored, as it says. */

/** Wishes of a caller. */
export interface Directives {
  /** Neither give what is stored nor store. */
  readonly noStore: boolean;
  /** Do not give what is stored. */
  readonly noCache: boolean;
  /** Give what is stored or nothing. */
  readonly onlyIfCached: boolean;
  /** Greatest age of what is given, in milliseconds; Infinity for any. */
  readonly maxAgeMs: number;
}

/** No wishes. */
export const noDirectives: Directives = {
  noStore: false,
  noCache: false,
  onlyIfCached: false,
  maxAgeMs: Infinity,
};

/** Reads the header of a request. Never throws. */
export function requestDirectives(header: string | null): Directives {
  if (header === null) return noDirectives;
  const values = directivesIn(header);
  return {
    noStore: values.has("no-store"),
    noCache: values.has("no-cache"),
    onlyIfCached: values.has("only-if-cached"),
    maxAgeMs: (seconds(values.get("max-age")) ?? Infinity) * 1000,
  };
}

/** Directives of a `Cache-Control` header by name, in lower case; the value is empty where there is none. */
export function directivesIn(header: string): Map<string, string> {
  const parts = header.split(",").map((part) => {
    const [name = "", value = ""] = part.split("=", 2);
    return [name.trim().toLowerCase(), value.trim().replace(/^"|"$/g, "")] as const;
  });
  return new Map(parts);
}

/** Delta seconds; undefined for what is none. */
export function seconds(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,10}$/.test(value) ? Number(value) : undefined;
}
