/** From an encoded response message to the body of an HTTP response. */
import type { EncodedReply, Route } from "./types.ts";

/** Prints a whole reply: JSON, or the bytes of a `google.api.HttpBody` with its own media type. */
export function encodeReply(route: Route, message: Uint8Array): EncodedReply {
  return route.replyEncoder(message);
}

/** Prints one message of a stream as JSON text without line breaks. Where `binding.rawReply`, use `encodeReply`. */
export function encodeStreamElement(route: Route, message: Uint8Array): string {
  const { body } = route.replyEncoder(message);
  return typeof body === "string" ? body : JSON.stringify(Buffer.from(body).toString("base64"));
}
