/** Percent-decoding by the rules of google/api/http.proto. Each value is decoded exactly once. Broken encoding: undefined. */

/** Everything is decoded, a slash too: the value of a single segment. */
export function decodeSegment(text: string): string | undefined {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Everything but `%2F` and `%2f` is decoded: the value of several segments, whose slashes tell them apart. */
export function decodeSegments(text: string): string | undefined {
  if (!text.includes("%")) return text;
  const parts = text.split(/(%2f)/i);
  for (let i = 0; i < parts.length; i += 2) {
    const decoded = decodeSegment(parts[i] ?? "");
    if (decoded === undefined) return undefined;
    parts[i] = decoded;
  }
  return parts.join("");
}

/** A name or value of a query: as a segment, and a plus sign is a blank, as HTML forms and `URLSearchParams` write it. */
export function decodeQueryPart(text: string): string | undefined {
  return decodeSegment(text.includes("+") ? text.replaceAll("+", " ") : text);
}
