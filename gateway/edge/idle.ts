/** Ends streams on which nothing happens: neither side would ever free what they hold. */
import { Code } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../../mesh/errors.ts";
import type { Exchange } from "./exchange.ts";

/** Watches one stream. */
export interface IdleWatch {
  /** A message came or went. */
  active(): void;
  /** The stream is over. */
  stop(): void;
}

/** Aborts the exchange with DEADLINE_EXCEEDED, reason STREAM_IDLE, once nothing has happened for `idleMs`. */
export function watchIdle(exchange: Exchange, idleMs: number): IdleWatch {
  const timer = setTimeout(() => {
    const message = `the stream was silent for ${idleMs / 1000} s`;
    exchange.abort(rpcError(Code.DeadlineExceeded, Reason.STREAM_IDLE, message));
  }, idleMs);
  return {
    active: () => void timer.refresh(),
    stop: () => clearTimeout(timer),
  };
}
