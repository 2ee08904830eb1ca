/** Tells HTTP/2 with prior knowledge from HTTP/1.1 by the first bytes of a connection (RFC 9113, section 3.4). */

/** What a client speaks. */
export type HttpVersion = "http1" | "http2";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** The shortest beginning that no HTTP/1.1 request has: `PR` may still become PROPFIND. */
const DECISIVE_BYTES = 3;

/** What the client speaks, given what it has sent so far; undefined while that is too little to know. */
export function httpVersionOf(bytes: Buffer): HttpVersion | undefined {
  const length = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, length, 0, length) !== 0) return "http1";
  return length < DECISIVE_BYTES ? undefined : "http2";
}
