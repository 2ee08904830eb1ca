/**
 * One call on the server, from its first byte to its status: what handlers and the client side beneath them see of it,
 * and the one place where it ends, which is counted, logged if it failed, and told to everything that still works on it.
 */
import { randomUUID } from "node:crypto";
import {
  Code,
  ConnectError,
  createContextValues,
  type ContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import type { DescMethod } from "@bufbuild/protobuf";
import type { Metadata as GrpcMetadata } from "@grpc/grpc-js";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { errorInfo, rpcError } from "../errors.ts";
import type { Logger } from "../observe/log.ts";
import { codeName, type CallEnd, type Metrics } from "../observe/metrics.ts";
import { traceOf, type TraceContext } from "../observe/trace.ts";
import type { MethodInfo } from "./call.ts";
import type { ServedCall } from "./context.ts";
import { fromGrpcMetadata } from "./grpc-metadata.ts";
import type { Metadata } from "./metadata.ts";
import { methodInfo } from "./method.ts";

/** What all calls of a server share. */
export interface Serving {
  readonly log: Logger;
  readonly metrics: Metrics | undefined;
  /** Aborted when the server begins to drain. */
  readonly draining: AbortSignal;
  /** The calls that are running. */
  readonly active: Set<ServerCall>;
}

/** What grpc-js knows of a call, whatever its kind. */
export interface IncomingCall {
  readonly metadata: GrpcMetadata;
  getPath(): string;
  getPeer(): string;
  getDeadline(): Date | number;
}

/** One call being served. Whatever few handlers ask for is made when they ask. */
export class ServerCall implements ServedCall {
  readonly desc: DescMethod;
  readonly method: MethodInfo;
  readonly deadline: number;
  readonly trace: TraceContext;
  readonly draining: AbortSignal;
  /** Metadata to send before the first message, if the handler has asked for it. */
  header: Metadata | undefined;
  /** Metadata to send after the last one, likewise. */
  trailer: Metadata | undefined;
  readonly #incoming: IncomingCall;
  readonly #serving: Serving;
  readonly #answer: (error: ConnectError) => void;
  readonly #begin = performance.now();
  readonly #measured: CallEnd | undefined;
  #controller: AbortController | undefined;
  #metadata: Metadata | undefined;
  #requestId: string | undefined;
  #values: ContextValues | undefined;
  #over: ConnectError | "ok" | undefined;

  /** `answer` ends the call towards the caller with an error; it is used only if the handler has not ended it. */
  constructor(
    desc: DescMethod,
    incoming: IncomingCall,
    serving: Serving,
    answer: (error: ConnectError) => void,
  ) {
    this.method = methodInfo(desc);
    this.deadline = Number(incoming.getDeadline());
    this.trace = traceOf(text(incoming.metadata, "traceparent"), text(incoming.metadata, "tracestate"));
    this.draining = serving.draining;
    this.desc = desc;
    this.#incoming = incoming;
    this.#serving = serving;
    this.#answer = answer;
    this.#measured = serving.metrics?.serverCall(this.method);
    serving.active.add(this);
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#over !== undefined) this.#controller.abort(reasonToStop(this.#over));
    }
    return this.#controller.signal;
  }

  get metadata(): Metadata {
    return (this.#metadata ??= fromGrpcMetadata(this.#incoming.metadata));
  }

  get requestId(): string {
    return (this.#requestId ??= text(this.#incoming.metadata, "x-request-id") ?? randomUUID());
  }

  get values(): ContextValues {
    return (this.#values ??= createContextValues());
  }

  /** Whether the call has ended. */
  get over(): boolean {
    return this.#over !== undefined;
  }

  /** Ends the call from outside: the caller is gone, the deadline passed, or the server must stop. */
  abort(error: ConnectError): void {
    if (this.over) return;
    this.end(error);
    this.#answer(error);
  }

  /** The caller or its deadline has ended the call; there is nobody left to answer. */
  cancelled(): void {
    if (this.over) return;
    this.end(Date.now() >= this.deadline - TRAVEL_MS ? deadlineExceeded() : cancelledByCaller());
  }

  /** Ends the call, once: without an error for OK. */
  end(error?: ConnectError): void {
    if (this.over) return;
    this.#over = error ?? "ok";
    this.#serving.active.delete(this);
    this.#measured?.(error?.code);
    if (error !== undefined) this.#logFailure(error);
    this.#controller?.abort(reasonToStop(this.#over));
  }

  #logFailure(error: ConnectError): void {
    const level = isServerFault(error.code) ? "error" : "info";
    this.#serving.log[level](
      {
        rpc: this.method.path,
        code: codeName(error.code),
        reason: errorInfo(error)?.reason,
        durationMs: Math.round((performance.now() - this.#begin) * 10) / 10,
        peer: this.#incoming.getPeer(),
        requestId: this.requestId,
        traceId: this.trace.traceId,
        spanId: this.trace.spanId,
        ...(error.cause !== undefined && { err: error.cause }),
      },
      error.rawMessage,
    );
  }
}

/** What a Connect handler is given. */
export function handlerContext(call: ServerCall): HandlerContext {
  return {
    method: call.desc,
    service: call.desc.parent,
    requestMethod: "POST",
    protocolName: "grpc",
    url: `http://heddle${call.method.path}`,
    timeoutMs: () => (call.deadline === Infinity ? undefined : call.deadline - Date.now()),
    // Own properties, because Connect copies the context for interceptors with Object.assign.
    get signal() {
      return call.signal;
    },
    get requestHeader() {
      return call.metadata;
    },
    get responseHeader() {
      return (call.header ??= new Headers());
    },
    get responseTrailer() {
      return (call.trailer ??= new Headers());
    },
    get values() {
      return call.values;
    },
  };
}

/** Codes that mean that something is wrong here, rather than with the request. */
function isServerFault(code: Code): boolean {
  return serverFaults.has(code);
}

const serverFaults: ReadonlySet<Code> = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

function text(metadata: GrpcMetadata, name: string): string | undefined {
  const [value] = metadata.get(name);
  return typeof value === "string" && value !== "" ? value : undefined;
}

function reasonToStop(over: ConnectError | "ok"): ConnectError {
  return over === "ok" ? finished : over;
}

/** One for all calls: an error with a stack of its own for each call that went well would cost more than the rest. */
const finished = new ConnectError("the call is over", Code.Canceled);

/** The caller's timer fires earlier than ours by the time that the request has travelled, and then it cancels. */
const TRAVEL_MS = 20;

function deadlineExceeded(): ConnectError {
  return rpcError(
    Code.DeadlineExceeded,
    Reason.DEADLINE_EXCEEDED,
    "the deadline ran out while the call was served",
  );
}

function cancelledByCaller(): ConnectError {
  return new ConnectError("the caller cancelled the call or lost its connection", Code.Canceled);
}
