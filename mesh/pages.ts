/**
 * Pagination by AIP-158. A page token is opaque and bound to its list: one that was made up, changed, or belongs to another
 * list is refused, rather than answered with some page.
 *
 * The digest in a token is no secret. It catches mistakes; what a made-up cursor could reach, its caller may list anyway.
 */
import { createHash } from "node:crypto";
import { invalidArgument } from "./errors.ts";

const DEFAULT_PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 1000;
const DIGEST_BYTES = 8;

/** How many items a page has: 0 means 50, more than 1000 means 1000. */
export function pageSize(requested: number): number {
  return requested === 0 ? DEFAULT_PAGE_SIZE : Math.min(requested, MAX_PAGE_SIZE);
}

/**
 * Cuts a page out of rows that were read with `limit pageSize + 1`, and says where the next one begins: after the last
 * `cursorOf`, or nowhere. `list` names the list and all of its filters.
 */
export function cutPage<Row>(
  rows: readonly Row[],
  size: number,
  list: readonly string[],
  cursorOf: (row: Row) => string,
): { readonly rows: readonly Row[]; readonly nextPageToken: string } {
  const page = rows.slice(0, size);
  const last = page.at(-1);
  const more = rows.length > size && last !== undefined;
  return { rows: page, nextPageToken: more ? encodeToken(list, cursorOf(last)) : "" };
}

/**
 * The cursor of a token; undefined for the first page.
 *
 * @throws INVALID_ARGUMENT about `page_token` if the token is not one of this list.
 */
export function pageCursor(token: string, list: readonly string[]): string | undefined {
  if (token === "") return undefined;
  const bytes = Buffer.from(token, "base64url");
  const cursor = bytes.subarray(DIGEST_BYTES).toString("utf8");
  if (encodeToken(list, cursor) === token) return cursor;
  throw invalidArgument({
    field: "page_token",
    description: "must be the next_page_token of a page of the same list, unchanged",
  });
}

function encodeToken(list: readonly string[], cursor: string): string {
  const digest = createHash("sha256")
    .update(JSON.stringify([...list, cursor]))
    .digest();
  return Buffer.concat([digest.subarray(0, DIGEST_BYTES), Buffer.from(cursor)]).toString("base64url");
}
