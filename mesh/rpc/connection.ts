/**
 * One endpoint, as the balancer sees it: a small interface between policies and the wire, so that the wire can be
 * replaced without a change above.
 */
import type { ConnectError } from "@connectrpc/connect";
import type { Metadata } from "./metadata.ts";

/**
 * `idle`: not asked to connect yet, or lost and about to connect again; `connecting`; `ready`: takes streams;
 * `failing`: cannot be reached and waits before it tries again; `closed`: for good.
 */
export type ConnectionState = "idle" | "connecting" | "ready" | "failing" | "closed";

/** A connection to one endpoint. It connects, and connects again when it is lost, by itself. */
export interface Connection {
  /** `host:port`. */
  readonly address: string;
  /** What it can do now. */
  state(): ConnectionState;
  /** Opens a stream. Events begin in a later turn of the event loop. */
  open(head: StreamHead, events: StreamEvents): Stream;
  /** Closes it; streams that are open finish. */
  close(): void;
}

/** What opens a stream. */
export interface StreamHead {
  /** `/{service}/{method}`. */
  readonly path: string;
  readonly metadata: Metadata;
  /** In milliseconds since the Unix epoch; Infinity for never. The stream ends by itself with DEADLINE_EXCEEDED. */
  readonly deadline: number;
}

/** What comes back: `header` at most once, any number of messages, then `end` exactly once. */
export interface StreamEvents {
  /** Initial metadata. */
  header(metadata: Metadata): void;
  /** One message; never more of them than were asked for with `read`. */
  message(bytes: Uint8Array): void;
  /** The end, with trailing metadata. Without an error: OK. */
  end(trailer: Metadata, error?: StreamError): void;
}

/** Why a stream did not end with OK. */
export interface StreamError {
  readonly error: ConnectError;
  /** The server has certainly not begun the call: it may be sent again whatever its method. */
  readonly unsent: boolean;
}

/** One call on a connection. */
export interface Stream {
  /** Sends a message. `sent` is called once it has been handed to the network: wait for it before the next one. */
  send(bytes: Uint8Array, sent?: () => void): void;
  /** No more messages will be sent. */
  halfClose(): void;
  /** Asks for one more message. */
  read(): void;
  /** Ends the stream and tells the server. `end` follows, with CANCELLED. */
  cancel(): void;
}
