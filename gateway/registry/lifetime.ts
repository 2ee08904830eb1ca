/** How long a call on the registry may go on: until its caller is gone, or the gateway stops. */
import { Code, type ConnectError, type HandlerContext } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../../mesh/errors.ts";
import { servedCall } from "../../mesh/rpc/context.ts";

/** The end of a call. */
export interface Lifetime {
  /** Aborted when the caller is gone or the gateway stops. */
  readonly signal: AbortSignal;
  /** Whether it is the gateway that stops. */
  stopping(): boolean;
  /** Why the signal aborted, for the caller. */
  reason(): ConnectError;
}

/** The lifetime of the call being served, which also ends with the registry. */
export function lifetime(closed: AbortSignal, context: HandlerContext): Lifetime {
  const draining = servedCall()?.draining;
  const ends = [context.signal, closed, ...(draining === undefined ? [] : [draining])];
  return {
    signal: AbortSignal.any(ends),
    stopping: () => closed.aborted || draining?.aborted === true,
    reason: () =>
      context.signal.aborted
        ? (context.signal.reason as ConnectError)
        : rpcError(Code.Unavailable, Reason.DRAINING, "this gateway is stopping; go on with another one"),
  };
}
