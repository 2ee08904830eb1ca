/**
 * What the client pipeline works on: one call as protobuf bytes. A service's typed client and the gateway, which passes
 * messages through undecoded, share everything below this line.
 */
import type { Metadata } from "./metadata.ts";

/** Who sends how many messages. */
export type CallKind = "unary" | "server_streaming" | "client_streaming" | "bidi_streaming";

/** `idempotency_level` of the method in its .proto: what may be retried, hedged or cached. */
export type Idempotency = "unknown" | "idempotent" | "no_side_effects";

/** A method, as policies need to know it. Compared by identity: make one for each method and keep it. */
export interface MethodInfo {
  /** Full name of the service, such as `shop.order.v1.OrderService`. */
  readonly service: string;
  /** Name of the method, such as `CreateOrder`. */
  readonly method: string;
  /** The HTTP/2 path, `/{service}/{method}`. */
  readonly path: string;
  readonly kind: CallKind;
  readonly idempotency: Idempotency;
  /** What the resolver is asked for. Default: `service`. The gateway asks for the instances that have this very method. */
  readonly target?: string;
}

/** One call on its way down the pipeline. Policies copy it to change it. */
export interface Call {
  readonly method: MethodInfo;
  /** Metadata for the server. It belongs to the pipeline from here on: policies add to it. */
  readonly metadata: Metadata;
  /** When it must be over, in milliseconds since the Unix epoch; Infinity for never. */
  readonly deadline: number;
  /** Aborted when the caller no longer wants it. */
  readonly signal: AbortSignal;
  /** The request: one message for unary and server streaming, several for the others. Encoded, without gRPC framing. */
  readonly request: Uint8Array | AsyncIterable<Uint8Array>;
  /** Addresses that this call was sent to before. The retry policy provides it; the balancer fills and avoids it. */
  readonly tried?: Set<string>;
}

/** What came back. An answer other than OK is thrown as a ConnectError instead, with its metadata and details. */
export interface Reply {
  /** Initial metadata. */
  readonly metadata: Metadata;
  /** The one message of a unary or client-streaming call. */
  readonly message?: Uint8Array;
  /** The messages of a streaming answer. Throws a ConnectError where the server ended it with another status than OK. */
  readonly messages?: AsyncIterable<Uint8Array>;
  /** Trailing metadata; for a streaming answer empty until `messages` has ended. */
  readonly trailers: () => Metadata;
}

/** Sends a call, and resolves with its whole reply, or, for a streaming answer, once its metadata has come. */
export type Send = (call: Call) => Promise<Reply>;

/**
 * One mechanism of the pipeline, wrapped around the rest of it: the same shape as a Connect interceptor, on bytes.
 * A policy is made once for each channel and keeps its own state.
 */
export type Policy = (next: Send) => Send;
