/**
 * Streaming replies of REST calls. An error before the first message is an HTTP error; one after it is written into the
 * stream. A reader that is slow slows the service, and silence for too long ends the stream.
 */
import type { Registry } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { constants } from "node:http2";
import type { Reply } from "../../mesh/rpc/call.ts";
import { statusBody } from "../routes/status.ts";
import { encodeReply, encodeStreamElement } from "../routes/response.ts";
import type { Route } from "../routes/types.ts";
import { drained } from "./backpressure.ts";
import { edgeError, firstHeaders, writeData, writeHead } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { IdleWatch } from "./idle.ts";
import type { EdgeResponse } from "./listener.ts";
import { replyHeaders, replyTrailers } from "./metadata.ts";
import { streamFormat, type StreamFormat, type StreamType } from "./stream-formats.ts";

/** Silence after which server-sent events say that the stream is alive. Below the idle timeouts of usual proxies. */
const KEEP_ALIVE_MS = 15_000;

/** The same for the first time: an `EventSource` is open, and an error has no HTTP status any more, from then on. */
const OPEN_AFTER_MS = 1000;

/** What a stream needs besides its messages. */
export interface StreamOptions {
  /** Hears of each message. */
  readonly idle: IdleWatch;
  /** Types of error details. */
  readonly registry: Registry;
}

/**
 * Writes the messages of a reply until they end.
 *
 * @throws ConnectError if the call failed before anything was written.
 */
export async function answerStream(
  exchange: Exchange,
  route: Route,
  reply: Reply,
  type: StreamType,
  { idle, registry }: StreamOptions,
): Promise<void> {
  const writer = route.binding.rawReply
    ? rawWriter(exchange, route, reply)
    : formatWriter(exchange, route, reply, streamFormat(type, reply.metadata.get("last-event-id")), registry);
  const opening = setTimeout(() => writer.keepAlive(), OPEN_AFTER_MS);
  const keepAlive = setInterval(() => writer.keepAlive(), KEEP_ALIVE_MS);
  try {
    for await (const message of reply.messages!) {
      idle.active();
      keepAlive.refresh();
      if (!writer.message(message)) await drained(exchange.response);
      if (exchange.gone) return;
    }
    exchange.end();
    writer.end();
  } catch (thrown) {
    if (!exchange.response.headersSent) throw thrown;
    const error = edgeError(thrown);
    exchange.end(error);
    if (!exchange.gone) writer.fail(error);
  } finally {
    clearTimeout(opening);
    clearInterval(keepAlive);
  }
}

/** Writes a stream. The head is written with whatever comes first. */
interface StreamWriter {
  /** False if the reader is behind: wait for `drain`. */
  message(bytes: Uint8Array): boolean;
  end(): void;
  fail(error: ConnectError): void;
  readonly keepAlive: () => void;
}

function formatWriter(
  exchange: Exchange,
  route: Route,
  reply: Reply,
  format: StreamFormat,
  registry: Registry,
): StreamWriter {
  const { response } = exchange;
  let count = 0;
  const opening = (): string => {
    if (response.headersSent) return "";
    begin(exchange, reply, format.contentType);
    return format.opening;
  };
  return {
    message(bytes) {
      const json = encodeStreamElement(route, bytes); // May throw, so nothing is written before.
      count += 1;
      return writeData(response, opening() + format.message(json, count));
    },
    end() {
      const last = opening() + format.closing(count);
      if (last !== "") writeData(response, last);
      finish(exchange, reply);
    },
    fail(error) {
      const text = format.error(statusBody(error, registry).json, count);
      if (format.breaksOnError) breakAfter(response, text);
      else response.end(text);
    },
    keepAlive() {
      if (format.keepAlive !== undefined) writeData(response, opening() + format.keepAlive);
    },
  };
}

/** Pieces of a `google.api.HttpBody`, one after the other. The first one says what they are. */
function rawWriter(exchange: Exchange, route: Route, reply: Reply): StreamWriter {
  const { response } = exchange;
  return {
    message(bytes) {
      const { contentType, body } = encodeReply(route, bytes);
      if (!response.headersSent) begin(exchange, reply, contentType);
      return body.length === 0 || writeData(response, body);
    },
    end() {
      if (!response.headersSent) begin(exchange, reply, "application/octet-stream");
      finish(exchange, reply);
    },
    fail: () => breakAfter(response, ""),
    keepAlive: () => undefined,
  };
}

function begin(exchange: Exchange, reply: Reply, contentType: string): void {
  const headers = firstHeaders(exchange, contentType);
  const names = new Set<string>();
  replyHeaders(reply.metadata, (name, value) => {
    names.add(name);
    headers.push(name, value);
  });
  if (!names.has("cache-control")) headers.push("cache-control", "no-store");
  headers.push("x-accel-buffering", "no"); // nginx would hold messages back.
  writeHead(exchange.response, 200, headers);
}

function finish(exchange: Exchange, reply: Reply): void {
  const { response } = exchange;
  if (exchange.header("te")?.includes("trailers") === true) {
    const trailers: Record<string, string> = {};
    replyTrailers(reply.trailers(), (name, value) => (trailers[name] = String(value)));
    response.addTrailers(trailers);
  }
  response.end();
}

/** Ends a response so that its reader knows that it is not whole: HTTP/1.1 without the last chunk, HTTP/2 by a reset. */
function breakAfter(response: EdgeResponse, text: string): void {
  const breakOff = (): void => {
    if ("stream" in response) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    else response.destroy();
  };
  if (text === "") breakOff();
  else writeData(response, text, breakOff);
}
