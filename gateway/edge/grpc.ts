/**
 * Native gRPC, passed through: messages stay the bytes that they are, whatever their kind of call, and so the gateway
 * need not know their types. Only the framing, compression and status of this hop are its own.
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../../mesh/errors.ts";
import type { Reply } from "../../mesh/rpc/call.ts";
import { edgeError, writeData, writeHead, type HeaderList } from "./answer.ts";
import { drained } from "./backpressure.ts";
import { decompress } from "./body.ts";
import { received, sendCall, type EdgeContext } from "./calls.ts";
import type { Exchange } from "./exchange.ts";
import { encodeFrame, FrameReader, messageTooLarge, type Frame } from "./grpc-frames.ts";
import { addMetadata, errorTrailers, okTrailers } from "./grpc-status.ts";
import { watchIdle, type IdleWatch } from "./idle.ts";
import { parseGrpcTimeout } from "./timeout.ts";

const ACCEPTED_ENCODINGS = "identity,gzip";

/** Serves one gRPC call. Never rejects. */
export async function serveGrpc(exchange: Exchange, context: EdgeContext): Promise<void> {
  try {
    await call(exchange, context);
  } catch (thrown) {
    const error = edgeError(thrown);
    exchange.end(error);
    if (!exchange.gone) end(exchange, errorTrailers(error));
  }
}

async function call(exchange: Exchange, context: EdgeContext): Promise<void> {
  const method = context.table().methods.get(exchange.path);
  if (method === undefined) throw unknownMethod(exchange.path);
  exchange.route = exchange.path;
  const { kind } = method.info;
  const timeout = exchange.header("grpc-timeout");
  const timeoutMs = timeout === undefined ? undefined : parseGrpcTimeout(timeout);
  const idle = kind === "unary" ? undefined : watchIdle(exchange, context.limits.streamIdleMs);
  try {
    const messages = readMessages(exchange, idle, context.limits.maxBodyBytes);
    const streams = kind === "client_streaming" || kind === "bidi_streaming";
    const request = streams ? messages : await received(exchange, timeoutMs, context, only(messages));
    const reply = await sendCall(context, { exchange, method, request, timeoutMs });
    begin(exchange, reply);
    if (reply.message !== undefined) writeData(exchange.response, encodeFrame(reply.message));
    else await writeMessages(exchange, reply, idle);
    exchange.end();
    end(exchange, okTrailers(reply.trailers()));
  } finally {
    idle?.stop();
  }
}

async function writeMessages(exchange: Exchange, reply: Reply, idle: IdleWatch | undefined): Promise<void> {
  const { response } = exchange;
  for await (const message of reply.messages!) {
    idle?.active();
    if (!writeData(response, encodeFrame(message))) await drained(response);
    if (exchange.gone) return;
  }
}

/** The message of a request that has one. */
async function only(messages: AsyncIterable<Buffer>): Promise<Buffer> {
  let request: Buffer | undefined;
  for await (const message of messages) {
    if (request !== undefined) throw notOneMessage("more than one");
    request = message;
  }
  if (request === undefined) throw notOneMessage("no");
  return request;
}

/** The messages of a request, decompressed. */
async function* readMessages(
  exchange: Exchange,
  idle: IdleWatch | undefined,
  maxBytes: number,
): AsyncGenerator<Buffer, void, undefined> {
  const encoding = exchange.header("grpc-encoding") ?? "identity";
  const reader = new FrameReader(maxBytes);
  try {
    if (encoding !== "identity" && encoding !== "gzip") throw unknownEncoding(encoding);
    for await (const chunk of exchange.request.iterator({ destroyOnReturn: false })) {
      for (const frame of reader.push(chunk as Buffer)) {
        idle?.active();
        yield frame.compressed ? await inflated(frame, encoding, maxBytes) : frame.bytes;
      }
    }
    if (reader.partial) throw endsWithin();
  } catch (thrown) {
    // Whoever reads a streaming request only gives up when it fails; this says why.
    exchange.abort(edgeError(thrown));
    throw thrown;
  }
}

async function inflated({ bytes }: Frame, encoding: string, maxBytes: number): Promise<Buffer> {
  if (encoding === "identity") {
    const message = "a message is compressed, but grpc-encoding says identity";
    throw rpcError(Code.Internal, Reason.MALFORMED_BODY, message);
  }
  try {
    return await decompress(bytes, encoding, maxBytes);
  } catch (thrown) {
    throw edgeError(thrown).code === Code.ResourceExhausted ? messageTooLarge(maxBytes) : thrown;
  }
}

/** The head of the response. It comes with the first message, or before the trailers. */
function begin(exchange: Exchange, reply?: Reply): void {
  const type = exchange.header("content-type") ?? "application/grpc";
  const metadata: Record<string, string> = {};
  if (reply !== undefined) addMetadata(metadata, reply.metadata);
  const headers: HeaderList = ["content-type", type, "grpc-accept-encoding", ACCEPTED_ENCODINGS];
  for (const name in metadata) headers.push(name, metadata[name]!);
  if (metadata["x-request-id"] === undefined) headers.push("x-request-id", exchange.requestId);
  writeHead(exchange.response, 200, headers);
}

function end(exchange: Exchange, trailers: Record<string, string>): void {
  const { response } = exchange;
  if (!response.headersSent) begin(exchange);
  response.addTrailers(trailers);
  response.end();
}

function unknownMethod(path: string): ConnectError {
  return rpcError(Code.Unimplemented, Reason.UNKNOWN_METHOD, `no service in the mesh has ${path.slice(1)}`);
}

function unknownEncoding(encoding: string): ConnectError {
  const message = `grpc-encoding ${encoding} is not understood; ${ACCEPTED_ENCODINGS} are`;
  return rpcError(Code.Unimplemented, Reason.UNSUPPORTED_MEDIA_TYPE, message);
}

function notOneMessage(found: string): ConnectError {
  const message = `the method takes one message, and the request has ${found}`;
  return rpcError(Code.Unimplemented, Reason.MALFORMED_BODY, message);
}

function endsWithin(): ConnectError {
  return rpcError(Code.InvalidArgument, Reason.MALFORMED_BODY, "the request ends within a message");
}
