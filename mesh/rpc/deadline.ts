/**
 * One time budget for everything a call causes: a call made while another is served ends no later than that one, and is
 * given up together with it.
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import type { Clock } from "../clock.ts";
import { rpcError } from "../errors.ts";
import type { Call, Policy } from "./call.ts";
import { servedCall } from "./context.ts";

/** Takes over deadline and cancellation of the call being served, and refuses what is too late already. */
export function deadline(clock: Clock): Policy {
  return (next) => (call) => {
    const bounded = withinServed(call);
    if (bounded.deadline <= clock.now()) return Promise.reject(deadlineExceeded(call));
    return next(bounded);
  };
}

function withinServed(call: Call): Call {
  const served = servedCall();
  if (served === undefined) return call;
  const signal = call.signal === neverAborted ? served.signal : AbortSignal.any([call.signal, served.signal]);
  return { ...call, deadline: Math.min(call.deadline, served.deadline), signal };
}

/** A signal for calls that nobody gives up. */
export const neverAborted: AbortSignal = new AbortController().signal;

/** The error of a call that ran out of time. */
export function deadlineExceeded({ method }: Call): ConnectError {
  return rpcError(
    Code.DeadlineExceeded,
    Reason.DEADLINE_EXCEEDED,
    `the deadline of ${method.path.slice(1)} ran out`,
  );
}
