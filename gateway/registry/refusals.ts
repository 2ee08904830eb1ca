/** What the registry answers to instances that it cannot serve as they are. */
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../../mesh/errors.ts";

/** FAILED_PRECONDITION for an instance that a younger process has replaced. */
export function staleIncarnation(instanceId: string): ConnectError {
  const message = `a younger incarnation of ${instanceId} has registered; register with a larger incarnation, or stop`;
  return rpcError(Code.FailedPrecondition, Reason.STALE_INCARNATION, message);
}

/** NOT_FOUND for a beat of an instance that is not there. */
export function notRegistered(instanceId: string): ConnectError {
  const message = `${instanceId} is not registered, or its lease has ended; register it again`;
  return rpcError(Code.NotFound, Reason.NOT_REGISTERED, message);
}
