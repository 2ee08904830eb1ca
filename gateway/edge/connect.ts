/**
 * Connect and gRPC-Web, binary and text, for every method of the mesh: connect-node speaks the protocols, with handlers
 * made of the descriptors that were learned, and the call itself goes to the channel.
 */
import { fromBinary, toBinary, type DescMessage, type Message } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type ConnectRouterOptions,
  type HandlerContext,
  type MethodImpl,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Reply } from "../../mesh/rpc/call.ts";
import type { Metadata } from "../../mesh/rpc/metadata.ts";
import { matchesEtag } from "../policy/response-cache/replies.ts";
import { codeOfHttpStatus } from "../routes/status.ts";
import type { MethodEntry } from "../routes/types.ts";
import { edgeError } from "./answer.ts";
import { sendCall, type EdgeCall, type EdgeContext } from "./calls.ts";
import type { Exchange } from "./exchange.ts";
import { binaryType, decodeText, encodeText, isGrpcWebText, textTypeOf } from "./grpc-web-text.ts";
import { watchIdle } from "./idle.ts";
import { isReserved } from "./metadata.ts";

/** Options that all handlers share. */
export function handlerOptions(maxBodyBytes: number): ConnectRouterOptions {
  return { readMaxBytes: maxBodyBytes, acceptCompression: [compressionGzip, compressionBrotli] };
}

/** Finds the handler of a method; made at its first call, gone with the table that the method is of. */
export function createConnectHandlers(context: EdgeContext): (method: MethodEntry) => UniversalHandler {
  const handlers = new WeakMap<MethodEntry, UniversalHandler>();
  return (method) => {
    let handler = handlers.get(method);
    if (handler === undefined) {
      const router = createConnectRouter({
        ...handlerOptions(context.limits.maxBodyBytes),
        grpc: false,
        jsonOptions: { registry: method.registry, ignoreUnknownFields: context.limits.ignoreUnknownFields },
      });
      router.rpc(method.desc, implementation(method, context));
      handler = router.handlers[0]!;
      handlers.set(method, handler);
    }
    return handler;
  };
}

const exchangeKey = createContextKey<Exchange | undefined>(undefined);

/**
 * Serves one request with a handler. Never rejects. With `patienceMs`, cuts off a caller that takes longer than that to
 * send what its call needs.
 */
export async function serveUniversal(
  exchange: Exchange,
  handler: UniversalHandler,
  patienceMs?: number,
): Promise<void> {
  const { request, response } = exchange;
  const impatience = patienceMs === undefined ? undefined : setTimeout(() => response.destroy(), patienceMs);
  exchange.onCall = () => clearTimeout(impatience);
  try {
    const values = createContextValues().set(exchangeKey, exchange);
    const incoming = universalRequestFromNodeRequest(request, response, undefined, values);
    const contentType = exchange.header("content-type");
    const text = isGrpcWebText(contentType);
    if (text) incoming.header.set("content-type", binaryType(contentType!));
    const outgoing = await handler(
      text ? { ...incoming, body: decodeText(incoming.body as AsyncIterable<Uint8Array>) } : incoming,
    );
    const header = new Headers(outgoing.header);
    header.set("x-request-id", exchange.requestId);
    if (isKnown(exchange, header)) {
      exchange.end();
      for (const name of ["content-type", "content-length", "content-encoding"]) header.delete(name);
      return await universalResponseToNodeResponse({ status: 304, header }, response);
    }
    const code = codeOfHttpStatus(outgoing.status);
    if (code !== undefined)
      exchange.end(new ConnectError(`refused with HTTP status ${outgoing.status}`, code));
    await universalResponseToNodeResponse(
      text ? asText({ ...outgoing, header }) : { ...outgoing, header },
      response,
    );
    exchange.end();
  } catch (thrown) {
    const error = edgeError(thrown);
    exchange.end(error);
    if (!response.headersSent) response.statusCode = 500;
    response.end();
  } finally {
    clearTimeout(impatience);
  }
}

/** Whether a caller by GET has this very response of a cached method. */
function isKnown(exchange: Exchange, response: Headers): boolean {
  const known = exchange.method === "GET" ? exchange.header("if-none-match") : undefined;
  const etag = response.get("etag");
  return known !== undefined && etag !== null && response.has("cache-status") && matchesEtag(known, etag);
}

function asText(response: UniversalServerResponse): UniversalServerResponse {
  const header = new Headers(response.header);
  header.set("content-type", textTypeOf(header.get("content-type") ?? ""));
  const { body } = response;
  return { ...response, header, ...(body != null && { body: encodeText(body) }) };
}

/** Implements a method by calling it in the mesh. */
function implementation(method: MethodEntry, context: EdgeContext): MethodImpl<typeof method.desc> {
  const { input, output } = method;
  async function one(request: EdgeCall["request"], handler: HandlerContext): Promise<Message> {
    const exchange = exchangeOf(method, handler);
    try {
      const reply = await sendCall(context, { exchange, method, request, timeoutMs: handler.timeoutMs() });
      copyMetadata(reply.metadata, handler.responseHeader);
      copyMetadata(reply.trailers(), handler.responseTrailer);
      const message = fromBinary(output, reply.message!);
      exchange.end();
      return message;
    } catch (thrown) {
      throw failed(exchange, thrown);
    }
  }

  async function* many(request: EdgeCall["request"], handler: HandlerContext): AsyncGenerator<Message> {
    const exchange = exchangeOf(method, handler);
    const idle = watchIdle(exchange, context.limits.streamIdleMs);
    try {
      const reply: Reply = await sendCall(context, {
        exchange,
        method,
        request,
        timeoutMs: handler.timeoutMs(),
      });
      copyMetadata(reply.metadata, handler.responseHeader);
      for await (const bytes of reply.messages!) {
        idle.active();
        yield fromBinary(output, bytes);
      }
      copyMetadata(reply.trailers(), handler.responseTrailer);
      exchange.end();
    } catch (thrown) {
      throw failed(exchange, thrown);
    } finally {
      idle.stop();
    }
  }

  const byKind = {
    unary: (message: Message, handler: HandlerContext) => one(toBinary(input, message), handler),
    client_streaming: (messages: AsyncIterable<Message>, handler: HandlerContext) =>
      one(encoded(input, messages), handler),
    server_streaming: (message: Message, handler: HandlerContext) => many(toBinary(input, message), handler),
    bidi_streaming: (messages: AsyncIterable<Message>, handler: HandlerContext) =>
      many(encoded(input, messages), handler),
  };
  return byKind[method.info.kind] as unknown as MethodImpl<typeof method.desc>;
}

/** The exchange of a call, marked as its. */
function exchangeOf(method: MethodEntry, { values }: HandlerContext): Exchange {
  const exchange = values.get(exchangeKey);
  if (exchange === undefined) throw new ConnectError("called outside of the edge", Code.Internal);
  exchange.route = method.info.path;
  exchange.onCall();
  return exchange;
}

/** The error to answer with. Metadata of an error goes on to the caller, though it came over the wire. */
function failed(exchange: Exchange, thrown: unknown): ConnectError {
  const error = edgeError(thrown);
  exchange.end(error);
  const shown = new ConnectError(error.rawMessage, error.code);
  shown.details = error.details;
  copyMetadata(error.metadata, shown.metadata);
  return shown;
}

function copyMetadata(from: Metadata, to: Headers): void {
  for (const [name, value] of from) if (!isReserved(name)) to.append(name, value);
}

async function* encoded(schema: DescMessage, messages: AsyncIterable<Message>): AsyncIterable<Uint8Array> {
  for await (const message of messages) yield toBinary(schema, message);
}
