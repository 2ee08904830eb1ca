/**
 * The call being served, as everything beneath its handler sees it without being passed it. The client side reads it by
 * itself: that is how deadline, cancellation, trace and request id go on through every hop with no code in handlers.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { ContextValues } from "@connectrpc/connect";
import type { TraceContext } from "../observe/trace.ts";
import type { MethodInfo } from "./call.ts";
import type { Metadata } from "./metadata.ts";

/** A call that this process is serving. */
export interface ServedCall {
  readonly method: MethodInfo;
  /** When it must be over, in milliseconds since the Unix epoch; Infinity for never. */
  readonly deadline: number;
  /** Aborted, with a ConnectError as reason, when the caller is gone, the deadline has passed, or the call is over. */
  readonly signal: AbortSignal;
  /** Aborted as soon as the server begins to drain: calls meant to last end themselves; others finish in the grace. */
  readonly draining: AbortSignal;
  /** Place of this call in its trace. */
  readonly trace: TraceContext;
  /** `x-request-id` of the caller, or one made here. */
  readonly requestId: string;
  /** Metadata that the caller sent. */
  readonly metadata: Metadata;
  /** Connect's context values of the call: a typed bag, open to interceptors and to what they bring along. */
  readonly values: ContextValues;
}

const storage = new AsyncLocalStorage<ServedCall>();

/** The call being served; undefined outside of any. */
export function servedCall(): ServedCall | undefined {
  return storage.getStore();
}

/** Runs `work`, and whatever it starts, as part of a call. */
export function runInCall<T>(call: ServedCall, work: () => T): T {
  return storage.run(call, work);
}

/** Runs `work` outside of any call, so that what it starts may outlive the call being served. */
export function detached<T>(work: () => T): T {
  return storage.exit(work);
}
