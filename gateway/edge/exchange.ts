/**
 * One request at the edge, whatever its protocol: who asked, under which ids, when the caller has gone, and how it ended,
 * which is counted, and logged if it failed.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { errorInfo } from "../../mesh/errors.ts";
import type { Logger } from "../../mesh/observe/log.ts";
import { codeName } from "../../mesh/observe/metrics.ts";
import { formatTraceparent, traceOf, type TraceContext } from "../../mesh/observe/trace.ts";
import type { Metadata } from "../../mesh/rpc/metadata.ts";
import type { EdgeMetrics } from "./edge-metrics.ts";
import type { EdgeRequest, EdgeResponse } from "./listener.ts";
import { requestMetadata } from "./metadata.ts";

/** What a caller speaks. */
export type Protocol = "rest" | "grpc" | "grpc_web" | "connect";

/** What all exchanges share. */
export interface Observers {
  readonly log: Logger;
  readonly metrics: EdgeMetrics;
}

/** Route of requests that found none. */
export const NO_ROUTE = "none";

/** What a request id may be; anything else is replaced, since it ends up in logs and headers. */
const requestIdPattern = /^[\x21-\x7e]{1,128}$/;

/** One request and its response. Whatever few requests ask for is made when they ask. */
export class Exchange {
  readonly request: EdgeRequest;
  readonly response: EdgeResponse;
  /** `x-request-id` of the caller, else the trace id, so that one id finds everything; goes back with the response. */
  readonly requestId: string;
  /** The raw path, without the query. */
  readonly path: string;
  /** The raw query, without the question mark. */
  readonly query: string;
  protocol: Protocol = "rest";
  /** Template of the route, or path of the gRPC method: bounded, so that it may be a label. */
  route: string = NO_ROUTE;
  /** Called when the request is complete enough for its call to be made. */
  onCall: () => void = ignore;
  readonly #observers: Observers;
  readonly #begin = performance.now();
  #trace: TraceContext | undefined;
  #controller: AbortController | undefined;
  #error: ConnectError | undefined;
  #answered = false;
  #gone = false;

  constructor(request: EdgeRequest, response: EdgeResponse, observers: Observers) {
    this.request = request;
    this.response = response;
    this.#observers = observers;
    const { url = "/" } = request;
    const mark = url.indexOf("?");
    this.path = mark < 0 ? url : url.slice(0, mark);
    this.query = mark < 0 ? "" : url.slice(mark + 1);
    const id = request.headers["x-request-id"];
    this.requestId = typeof id === "string" && requestIdPattern.test(id) ? id : this.trace.traceId;
    response.once("close", () => this.#close());
    request.on("error", ignore); // A lost connection; the response closes, too.
    response.on("error", ignore);
  }

  /** HTTP method. */
  get method(): string {
    return this.request.method ?? "GET";
  }

  /** Place of this request in its trace. */
  get trace(): TraceContext {
    return (this.#trace ??= traceOf(this.header("traceparent"), this.header("tracestate")));
  }

  /** Aborted when the caller has gone, or when `abort` was called. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#gone) this.#controller.abort(callerGone());
    return this.#controller.signal;
  }

  /** Whether nobody waits for the response any more. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Value of a request header; several are joined. */
  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  }

  /** Metadata for the call that this request asks for, tied to its ids. */
  metadata(): Metadata {
    const { socket } = this.request;
    const metadata = requestMetadata(this.request.headers, {
      address: socket.remoteAddress,
      scheme: "http",
      host: this.header(":authority") ?? this.header("host"),
    });
    const { trace } = this;
    metadata.set("x-request-id", this.requestId);
    metadata.set("traceparent", formatTraceparent(trace));
    if (trace.state !== undefined) metadata.set("tracestate", trace.state);
    return metadata;
  }

  /** Gives up the call, as if the caller had gone. */
  abort(reason: ConnectError): void {
    this.#controller ??= new AbortController();
    this.#controller.abort(reason);
  }

  /** The response is whole, or all that it will be: `error` is what went wrong with it. */
  end(error?: ConnectError): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#error = error;
  }

  #close(): void {
    this.#gone = true;
    if (!this.#answered) {
      this.#error = callerGone();
      this.#controller?.abort(this.#error);
    }
    const ms = performance.now() - this.#begin;
    this.#observers.metrics.observe(this.protocol, this.route, this.#error?.code, ms / 1000);
    if (this.#error !== undefined) this.#logFailure(this.#error, ms);
  }

  #logFailure(error: ConnectError, ms: number): void {
    const level = levelOf(error.code);
    const { log } = this.#observers;
    if (!log.isLevelEnabled(level)) return;
    log[level](
      {
        requestId: this.requestId,
        traceId: this.trace.traceId,
        protocol: this.protocol,
        httpMethod: this.method,
        path: this.path,
        route: this.route,
        status: this.response.statusCode,
        code: codeName(error.code),
        reason: errorInfo(error)?.reason,
        ms: Math.round(ms * 10) / 10,
        ...(error.cause !== undefined && { err: error.cause }),
      },
      error.rawMessage,
    );
  }
}

/** Faults of the gateway or of services are worth a look; refused requests only for whoever sent them. */
function levelOf(code: Code): "error" | "warn" | "debug" {
  switch (code) {
    case Code.Internal:
    case Code.Unknown:
    case Code.DataLoss:
      return "error";
    case Code.Unavailable:
    case Code.DeadlineExceeded:
    case Code.Unimplemented:
      return "warn";
    default:
      return "debug";
  }
}

function callerGone(): ConnectError {
  return new ConnectError("the caller went away before the response was whole", Code.Canceled);
}

function ignore(): void {}
