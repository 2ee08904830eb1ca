/** JSON text of a request body, read strictly: UTF-8, one value, and no key twice in one object. */

/** The value, or why there is none, as a sentence for the caller. */
export type ParsedJson = { readonly value: unknown } | { readonly problem: string };

/** Deeper nesting is refused: reading it would exhaust the stack. Readers of messages have limits of their own. */
const MAX_DEPTH = 500;

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Parses JSON from bytes. */
export function parseJson(bytes: Uint8Array): ParsedJson {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return { problem: "the body is not UTF-8" };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const position = /position (\d+)/.exec(String(error))?.[1];
    return {
      problem: `the body is not JSON${position === undefined ? "" : `: wrong at character ${position}`}`,
    };
  }
  // JSON.parse keeps the last of several equal keys, so that fewer remain than there are in the text.
  const keys = keysOf(value, 0);
  if (keys === keysInText(text)) return { value };
  if (Number.isNaN(keys)) return { problem: `the body is nested more than ${MAX_DEPTH} deep` };
  return { problem: `the key ${JSON.stringify(repeatedKey(text))} stands twice in one object` };
}

/** Counts keys of all objects; NaN if there is no end to them. */
function keysOf(json: unknown, depth: number): number {
  if (typeof json !== "object" || json === null) return 0;
  if (depth >= MAX_DEPTH) return Number.NaN;
  let count = 0;
  if (Array.isArray(json)) {
    for (const item of json) count += keysOf(item, depth + 1);
    return count;
  }
  for (const value of Object.values(json)) count += 1 + keysOf(value, depth + 1);
  return count;
}

/** Counts keys in valid JSON: the strings that a colon follows. */
function keysInText(text: string): number {
  let count = 0;
  for (let open = text.indexOf('"'); open >= 0;) {
    const close = endOfString(text, open);
    if (isKey(text, close)) count++;
    open = text.indexOf('"', close + 1);
  }
  return count;
}

/** The first key that stands twice in one object of valid JSON; empty if there is none. */
function repeatedKey(text: string): string {
  const objects: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === "{") objects.push(new Set());
    else if (character === "}") objects.pop();
    else if (character === '"') {
      const close = endOfString(text, i);
      if (isKey(text, close)) {
        const key = JSON.parse(text.slice(i, close + 1)) as string;
        const seen = objects.at(-1);
        if (seen?.has(key)) return key;
        seen?.add(key);
      }
      i = close;
    }
  }
  return "";
}

/** Index of the quote that ends the string that begins at `open`. */
function endOfString(text: string, open: number): number {
  for (let close = text.indexOf('"', open + 1); ; close = text.indexOf('"', close + 1)) {
    let backslashes = 0;
    while (text[close - 1 - backslashes] === "\\") backslashes++;
    if (backslashes % 2 === 0) return close;
  }
}

function isKey(text: string, close: number): boolean {
  let next = close + 1;
  while (" \t\r\n".includes(text[next] ?? "x")) next++;
  return text[next] === ":";
}
