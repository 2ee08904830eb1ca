/**
 * A connection made of one plain grpc-js client. Retries, balancing and service configuration of grpc-js are off: the
 * pipeline does these. Messages stay bytes.
 */
import { Code } from "@connectrpc/connect";
import {
  Client,
  connectivityState as ConnectivityState,
  credentials,
  Metadata as GrpcMetadata,
  status as GrpcCode,
  type ClientOptions,
} from "@grpc/grpc-js";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../errors.ts";
import type { Connection, ConnectionState, StreamError } from "./connection.ts";
import { fromGrpcMetadata, toGrpcMetadata } from "./grpc-metadata.ts";
import { errorOf, type GrpcStatus } from "./status.ts";

/** How a connection behaves. */
export interface GrpcJsConnectionOptions {
  /** Longest message to receive. Default: unlimited, since the sender's server limits what it takes. */
  readonly maxMessageBytes?: number;
  /** Called after every change of state. */
  readonly onStateChange?: () => void;
}

const states: Readonly<Record<ConnectivityState, ConnectionState>> = {
  [ConnectivityState.IDLE]: "idle",
  [ConnectivityState.CONNECTING]: "connecting",
  [ConnectivityState.READY]: "ready",
  [ConnectivityState.TRANSIENT_FAILURE]: "failing",
  [ConnectivityState.SHUTDOWN]: "closed",
};

const channelOptions: ClientOptions = {
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_channelz": 0,
  "grpc.enable_http_proxy": 0,
  // A restarted server is back within two seconds; the defaults are 1 s and 120 s.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2000,
  // Keepalive is off: servers that do not expect it end the connection with too_many_pings.
};

/** Connects to `host:port`, at once. */
export function createGrpcJsConnection(address: string, options: GrpcJsConnectionOptions = {}): Connection {
  const client = new Client(address, credentials.createInsecure(), {
    ...channelOptions,
    "grpc.max_receive_message_length": options.maxMessageBytes ?? -1,
    "grpc.max_send_message_length": -1,
  });
  const channel = client.getChannel();
  let closed = false;
  follow();

  function follow(): void {
    if (closed) return;
    const state = channel.getConnectivityState(true);
    channel.watchConnectivityState(state, Infinity, () => {
      options.onStateChange?.();
      follow();
    });
  }

  return {
    address,
    state: () => (closed ? "closed" : states[channel.getConnectivityState(false)]),
    close() {
      closed = true;
      client.close();
    },
    open(head, events) {
      let cancelled = false;
      let answered = false;
      const call = channel.createCall(head.path, head.deadline, null, null, undefined);
      call.start(toGrpcMetadata(head.metadata), {
        onReceiveMetadata(metadata) {
          answered = true;
          events.header(fromGrpcMetadata(metadata));
        },
        onReceiveMessage(message: Uint8Array | null) {
          if (message !== null) events.message(message);
        },
        onReceiveStatus(status) {
          const trailer = fromGrpcMetadata(status.metadata);
          if (status.code === GrpcCode.OK) events.end(trailer);
          else events.end(trailer, streamError(status, address, { cancelled, answered }));
        },
      });
      return {
        send: (bytes, sent) =>
          call.sendMessageWithContext(sent === undefined ? {} : { callback: sent }, asBuffer(bytes)),
        halfClose: () => call.halfClose(),
        read: () => call.startRead(),
        cancel() {
          cancelled = true;
          call.cancelWithStatus(GrpcCode.CANCELLED, "cancelled by the caller");
        },
      };
    },
  };
}

/**
 * Tells apart what the server said from what grpc-js made up because of the connection. grpc-js says so in words only;
 * a status it has made up has no metadata, while one that came over the wire without an answer before it always has some.
 */
function streamError(
  status: GrpcStatus,
  address: string,
  { cancelled, answered }: { readonly cancelled: boolean; readonly answered: boolean },
): StreamError {
  const local = isEmpty(status.metadata) && !cancelled;
  const meaning = madeUp.find(
    ({ code, text, unsent, relayed }) =>
      status.code === code && status.details.includes(text) && (relayed || local) && !(unsent && answered),
  );
  if (meaning !== undefined) {
    const { as, reason, unsent } = meaning;
    return { error: rpcError(as, reason, `${address}: ${status.details}`), unsent };
  }
  return { error: errorOf(status), unsent: false };
}

/** A status of grpc-js's own, by code and text, and what it means here. */
interface MadeUp {
  readonly code: number;
  readonly text: string;
  readonly as: Code;
  readonly reason: Reason;
  readonly unsent: boolean;
  /** The server's library says it, too. */
  readonly relayed?: boolean;
}

const lost = { reason: Reason.CONNECTION_LOST, as: Code.Unavailable, unsent: false };
const unsent = { reason: Reason.CONNECT_FAILED, as: Code.Unavailable, unsent: true };

const madeUp: readonly MadeUp[] = [
  { code: GrpcCode.UNAVAILABLE, text: "No connection established", ...unsent },
  { code: GrpcCode.UNAVAILABLE, text: "Stream refused by server", ...unsent },
  { code: GrpcCode.UNAVAILABLE, text: "Channel closed before call started", ...unsent },
  { code: GrpcCode.INTERNAL, text: "Failed to start HTTP/2 stream", ...unsent },
  { code: GrpcCode.UNAVAILABLE, text: "Connection dropped", ...lost },
  { code: GrpcCode.UNAVAILABLE, text: "ECONNRESET", ...lost },
  { code: GrpcCode.UNAVAILABLE, text: "ETIMEDOUT", ...lost },
  { code: GrpcCode.INTERNAL, text: "triggered by internal client error", ...lost },
  // The peer's forceShutdown, or a reset of its stream, that nobody here asked for.
  { code: GrpcCode.CANCELLED, text: "Call cancelled", ...lost },
  {
    code: GrpcCode.DEADLINE_EXCEEDED,
    text: "Deadline exceeded",
    reason: Reason.DEADLINE_EXCEEDED,
    as: Code.DeadlineExceeded,
    unsent: false,
  },
  {
    code: GrpcCode.RESOURCE_EXHAUSTED,
    text: "eceived message larger than max",
    reason: Reason.MESSAGE_TOO_LARGE,
    as: Code.ResourceExhausted,
    unsent: false,
    relayed: true,
  },
];

function isEmpty(metadata: GrpcMetadata): boolean {
  return Object.keys(metadata.getMap()).length === 0;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
