/** REST calls: an HTTP request becomes the message of its route's method, and the reply an HTTP response. */
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../../mesh/errors.ts";
import type { Reply } from "../../mesh/rpc/call.ts";
import { TOKEN_HEADER } from "../../mesh/sql/consistency.ts";
import { matchesEtag } from "../policy/response-cache/replies.ts";
import { encodeRequest } from "../routes/request.ts";
import { encodeReply } from "../routes/response.ts";
import type { Binding, Match, Route, RouteTable } from "../routes/types.ts";
import { negotiate } from "./accept.ts";
import { answer, answerError, firstHeaders, type HeaderList } from "./answer.ts";
import { readBody } from "./body.ts";
import { received, sendCall, type EdgeContext } from "./calls.ts";
import type { Exchange } from "./exchange.ts";
import { watchIdle } from "./idle.ts";
import { replyHeaders, replyTrailers } from "./metadata.ts";
import { STREAM_TYPES, type StreamType } from "./stream-formats.ts";
import { answerStream } from "./streams.ts";
import { giveTokenCookies } from "./token-cookies.ts";
import { parseGrpcTimeout, parseRequestTimeout } from "./timeout.ts";

/** Serves one REST request. Never rejects. */
export async function serveRest(exchange: Exchange, context: EdgeContext): Promise<void> {
  const table = context.table();
  try {
    const found = table.match(exchange.method, exchange.path);
    if ("route" in found) await callRoute(exchange, found, table, context);
    else if ("allow" in found) refuseMethod(exchange, found.allow, table);
    else throw notFound(exchange);
  } catch (thrown) {
    answerError(exchange, thrown, table.registry);
  }
}

async function callRoute(
  exchange: Exchange,
  match: Match,
  table: RouteTable,
  context: EdgeContext,
): Promise<void> {
  const { route } = match;
  const { method, binding } = route;
  const { kind } = method.info;
  exchange.route = `${binding.httpMethod} ${binding.template.source}`;
  if (kind === "client_streaming" || kind === "bidi_streaming") throw needsGrpc(method.info.path);
  const format = negotiateReply(exchange, kind === "server_streaming", binding);
  const timeoutMs = askedTimeoutMs(exchange);
  const request = await requestMessage(exchange, match, timeoutMs, context);
  const call = { exchange, method, request, timeoutMs };
  if (kind === "unary") return answerMessage(exchange, route, await sendCall(context, call), context);
  const idle = watchIdle(exchange, context.limits.streamIdleMs);
  try {
    const reply = await sendCall(context, call);
    await answerStream(exchange, route, reply, format, { idle, registry: table.registry });
  } finally {
    idle.stop();
  }
}

async function requestMessage(
  exchange: Exchange,
  match: Match,
  timeoutMs: number | undefined,
  context: EdgeContext,
): Promise<Uint8Array> {
  const { limits } = context;
  const { binding } = match.route;
  const contentType = exchange.header("content-type");
  let body: Buffer | undefined;
  if (binding.body !== "none") {
    const reading = readBody(exchange.request, limits.maxBodyBytes, exchange.signal);
    body = await received(exchange, timeoutMs, context, reading);
    if (!binding.rawRequest && body !== undefined && body.length > 0) requireJson(contentType);
  }
  const parts = { query: exchange.query, contentType, body };
  return encodeRequest(match, parts, { ignoreUnknownFields: limits.ignoreUnknownFields });
}

function answerMessage(exchange: Exchange, route: Route, reply: Reply, { limits }: EdgeContext): void {
  if (isKnown(exchange, route, reply)) return answerNotModified(exchange, reply);
  const { contentType, body } = encodeReply(route, reply.message!);
  const headers = firstHeaders(exchange, contentType);
  const push = (name: string, value: string | string[]) => headers.push(name, value);
  replyHeaders(reply.metadata, push);
  const trailers = reply.trailers();
  replyTrailers(trailers, push);
  if (limits.tokenCookies) giveTokenCookies(trailers.get(TOKEN_HEADER), push);
  exchange.end();
  answer(exchange, 200, headers, body);
}

/** Whether the caller has this very response of a cached method. */
function isKnown({ method, request }: Exchange, { method: { caching } }: Route, reply: Reply): boolean {
  const known = request.headers["if-none-match"];
  const etag = reply.metadata.get("etag");
  const isRead = method === "GET" || method === "HEAD";
  return (
    caching?.read !== undefined && isRead && known !== undefined && etag !== null && matchesEtag(known, etag)
  );
}

function answerNotModified(exchange: Exchange, reply: Reply): void {
  const headers: HeaderList = ["x-request-id", exchange.requestId];
  replyHeaders(reply.metadata, (name, value) => headers.push(name, value));
  exchange.end();
  answer(exchange, 304, headers, undefined);
}

/** How the reply will be written. A `google.api.HttpBody` brings its own type, whatever was asked for. */
function negotiateReply(exchange: Exchange, streams: boolean, { rawReply }: Binding): StreamType {
  if (rawReply) return STREAM_TYPES[0];
  const accept = exchange.header("accept");
  const type = streams ? negotiate(accept, [...STREAM_TYPES]) : negotiate(accept, [STREAM_TYPES[0]]);
  if (type !== undefined) return type;
  const offered = streams ? STREAM_TYPES.join(", ") : STREAM_TYPES[0];
  throw rpcError(Code.InvalidArgument, Reason.NOT_ACCEPTABLE, `the reply can be had as ${offered}`);
}

function askedTimeoutMs(exchange: Exchange): number | undefined {
  const grpc = exchange.header("grpc-timeout");
  if (grpc !== undefined) return parseGrpcTimeout(grpc);
  const request = exchange.header("x-request-timeout");
  return request === undefined ? undefined : parseRequestTimeout(request);
}

function requireJson(contentType: string | undefined): void {
  if (contentType === "application/json") return;
  const [type = ""] = (contentType ?? "").split(";", 1);
  if (/^application\/(?:[\w.-]+\+)?json$/i.test(type.trim())) return;
  const found = contentType === undefined ? "there is no Content-Type" : `Content-Type is ${type.trim()}`;
  throw rpcError(
    Code.InvalidArgument,
    Reason.UNSUPPORTED_MEDIA_TYPE,
    `${found}; the body must be application/json`,
  );
}

/** The path is known, but not with this HTTP method. OPTIONS asks for just that. */
function refuseMethod(exchange: Exchange, allow: readonly string[], table: RouteTable): void {
  const allowed = allow.join(", ");
  if (exchange.method === "OPTIONS") {
    exchange.end();
    return answer(exchange, 204, ["allow", allowed, "x-request-id", exchange.requestId], undefined);
  }
  const message = `${exchange.method} is not allowed on ${exchange.path}; ${allowed} are`;
  const error = rpcError(Code.Unimplemented, Reason.METHOD_NOT_ALLOWED, message);
  answerError(exchange, error, table.registry, ["allow", allowed]);
}

function notFound({ method, path }: Exchange): ConnectError {
  return rpcError(Code.NotFound, Reason.ROUTE_NOT_FOUND, `no route for ${method} ${path}`);
}

function needsGrpc(path: string): ConnectError {
  const message = `${path.slice(1)} takes a stream of messages: call it by gRPC or Connect`;
  return rpcError(Code.Unimplemented, Reason.STREAMING_UNSUPPORTED, message);
}
