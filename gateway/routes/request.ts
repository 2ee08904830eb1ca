/** From an HTTP request to the encoded message of its method. */
import type { HttpRequest, Match, RequestOptions } from "./types.ts";

/**
 * Makes the request message of path variables, query and body.
 * @throws ConnectError INVALID_ARGUMENT, with a violation for each parameter or field that is wrong.
 */
export function encodeRequest(match: Match, request: HttpRequest, options: RequestOptions = {}): Uint8Array {
  return match.route.requestEncoder(match.variables, request, options);
}
