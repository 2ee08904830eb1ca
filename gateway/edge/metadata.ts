/**
 * Between HTTP headers and gRPC metadata, both ways. A caller's headers go on as they are, save those that belong to its
 * connection or to HTTP itself; what a server sends comes back as `Grpc-Metadata-*`, save the few headers that HTTP
 * clients understand by themselves.
 */
import type { IncomingHttpHeaders } from "node:http";
import { Code } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../../mesh/errors.ts";
import type { Metadata } from "../../mesh/rpc/metadata.ts";
import { TOKEN_HEADER } from "../../mesh/sql/consistency.ts";
import { tokensOfCookies } from "./token-cookies.ts";

/** Where a request came from, as far as the edge knows. */
export interface Peer {
  /** IP address of the client, or of the last proxy. */
  readonly address: string | undefined;
  readonly scheme: "http" | "https";
  /** The host that was asked for. */
  readonly host: string | undefined;
}

/** Prefix of headers that become metadata of the name that follows, and of metadata in replies. */
export const METADATA_PREFIX = "grpc-metadata-";

/** Prefix of trailing metadata in replies. */
export const TRAILER_PREFIX = "grpc-trailer-";

/** Headers about the connection, the body or the negotiation with this very server, which a service has no use for. */
const ownHeaders = new Set([
  "accept",
  "accept-charset",
  "accept-encoding",
  "access-control-request-headers",
  "access-control-request-method",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "date",
  "expect",
  "forwarded",
  "host",
  "http2-settings",
  "if-range",
  "keep-alive",
  "max-forwards",
  "origin",
  "pragma",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "range",
  "referer",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "upgrade-insecure-requests",
  "user-agent",
  "via",
  "x-forwarded-for",
  "x-request-timeout",
]);

/** Printable ASCII: all that gRPC allows in a value. */
const printable = /^[\x20-\x7e]*$/;
const metadataName = /^[0-9a-z_.-]+$/;
const base64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/**
 * Metadata of the call that a request asks for. `connection` may name more headers to leave out; `grpc-*`,
 * `x-heddle-*`, `connect-*` and `sec-*` are reserved, save the consistency token, which callers hand back.
 *
 * @throws ConnectError INVALID_ARGUMENT for a `Grpc-Metadata-*` header that gRPC cannot carry.
 */
export function requestMetadata(headers: IncomingHttpHeaders, peer: Peer): Metadata {
  const metadata = new Headers();
  const { connection } = headers;
  const hop = connection === undefined || isUsual(connection) ? undefined : namesIn(connection);
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || name.startsWith(":")) continue;
    const text = typeof value === "string" ? value : value.join(", ");
    if (name.startsWith(METADATA_PREFIX)) setExplicit(metadata, name.slice(METADATA_PREFIX.length), text);
    else if (!ownHeaders.has(name) && !isReserved(name) && !hop?.has(name)) setImplicit(metadata, name, text);
  }
  const tokens = tokensOfCookies(headers.cookie);
  if (tokens !== undefined) metadata.append(TOKEN_HEADER, tokens);
  forward(metadata, headers, peer);
  return metadata;
}

/** Names of metadata that belong to gRPC or to the mesh. */
export function isReserved(name: string): boolean {
  return (
    name.startsWith("grpc-") ||
    name.startsWith("sec-") ||
    (name.startsWith("x-heddle-") && name !== TOKEN_HEADER) ||
    name.startsWith("connect-")
  );
}

function isUsual(connection: string): boolean {
  return connection === "keep-alive" || connection === "close";
}

function namesIn(connection: string): ReadonlySet<string> {
  return new Set(connection.split(",").map((name) => name.trim().toLowerCase()));
}

function setExplicit(metadata: Metadata, name: string, value: string): void {
  if (!metadataName.test(name) || isReserved(name) || ownHeaders.has(name)) {
    throw malformed(name, "is no name that metadata may have");
  }
  if (!name.endsWith("-bin")) {
    if (!printable.test(value))
      throw malformed(name, "must be printable ASCII; binary values need a name in -bin");
    return metadata.append(name, value);
  }
  for (const part of value.split(",")) {
    const text = part.trim();
    if (!base64.test(text)) throw malformed(name, "must be base64");
    metadata.append(name, unpadded(text));
  }
}

/** Headers that were not meant for gRPC are left out where it cannot carry them. */
function setImplicit(metadata: Metadata, name: string, value: string): void {
  if (!metadataName.test(name) || !printable.test(value)) return;
  if (name.endsWith("-bin") && !value.split(",").every((part) => base64.test(part.trim()))) return;
  metadata.append(name, name.endsWith("-bin") ? value.replaceAll("=", "") : value);
}

function unpadded(text: string): string {
  return text.replace(/=+$/, "").replaceAll("-", "+").replaceAll("_", "/");
}

function forward(metadata: Metadata, headers: IncomingHttpHeaders, peer: Peer): void {
  const before = headers["x-forwarded-for"];
  const path = [
    ...(before === undefined ? [] : [before].flat()),
    ...(peer.address === undefined ? [] : [peer.address]),
  ];
  if (path.length > 0) metadata.set("x-forwarded-for", path.join(", "));
  if (!metadata.has("x-forwarded-proto")) metadata.set("x-forwarded-proto", peer.scheme);
  if (!metadata.has("x-forwarded-host") && peer.host !== undefined)
    metadata.set("x-forwarded-host", peer.host);
}

function malformed(name: string, problem: string) {
  const message = `${METADATA_PREFIX}${name} ${problem}`;
  return rpcError(Code.InvalidArgument, Reason.MALFORMED_HEADER, message);
}

/** Headers of HTTP that a service may set by metadata of the same name. */
const httpHeaders = new Set([
  "age",
  "allow",
  "cache-control",
  "cache-status",
  "content-disposition",
  "content-language",
  "content-location",
  "deprecation",
  "etag",
  "expires",
  "last-modified",
  "link",
  "location",
  "retry-after",
  "set-cookie",
  "sunset",
  "vary",
  "warning",
  "www-authenticate",
  TOKEN_HEADER,
]);

/** Never part of a reply: correlation headers are set by the edge, and the rest says what the HTTP reply says itself. */
const droppedHeaders = new Set(["x-request-id", "traceparent", "tracestate", "date", "server"]);

/** Takes one header of a reply. */
export type SetHeader = (name: string, value: string | string[]) => void;

/** Gives each header that stands for a reply's metadata. Names in `-bin` keep their base64. */
export function replyHeaders(metadata: Metadata, set: SetHeader): void {
  for (const [name, value] of metadata) {
    if (isReserved(name) || droppedHeaders.has(name) || ownHeaders.has(name)) continue;
    if (name === "set-cookie") set(name, metadata.getSetCookie());
    else set(httpHeaders.has(name) ? name : METADATA_PREFIX + name, value);
  }
}

/** Gives each header, or HTTP trailer, that stands for a reply's trailing metadata. */
export function replyTrailers(metadata: Metadata, set: SetHeader): void {
  for (const [name, value] of metadata) {
    if (isReserved(name) || ownHeaders.has(name)) continue;
    set(name === TOKEN_HEADER ? name : TRAILER_PREFIX + name, value);
  }
}
