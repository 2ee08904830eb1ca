/**
 * gRPC metadata as Connect and `fetch` have it: `Headers`. Values of names that end in `-bin` are unpadded base64, as on
 * the wire of gRPC over HTTP/2.
 */
export type Metadata = Headers;
