/** Outermost: one measurement of each call with all its attempts, and the headers that tie it to what caused it. */
import { randomUUID } from "node:crypto";
import type { ConnectError } from "@connectrpc/connect";
import type { Metrics } from "../observe/metrics.ts";
import { childOf, formatTraceparent, traceOf } from "../observe/trace.ts";
import type { Policy, Reply } from "./call.ts";
import { servedCall } from "./context.ts";
import type { Metadata } from "./metadata.ts";

/** Carries on `x-request-id` and the trace of the call being served, or begins them. Headers that are set stay. */
export function correlation(): Policy {
  return (next) => (call) => {
    correlate(call.metadata);
    return next(call);
  };
}

function correlate(metadata: Metadata): void {
  const served = servedCall();
  if (!metadata.has("x-request-id")) metadata.set("x-request-id", served?.requestId ?? randomUUID());
  if (metadata.has("traceparent")) return;
  const trace = served === undefined ? traceOf(undefined) : childOf(served.trace);
  metadata.set("traceparent", formatTraceparent(trace));
  if (trace.state !== undefined) metadata.set("tracestate", trace.state);
}

/** Counts calls and how long they take. A streaming answer is over when its last message is read. */
export function measurement(metrics: Metrics): Policy {
  return (next) => async (call) => {
    const ended = metrics.clientCall(call.method);
    try {
      const reply = await next(call);
      if (reply.messages === undefined) ended();
      return reply.messages === undefined ? reply : { ...reply, messages: measured(reply.messages, ended) };
    } catch (error) {
      ended((error as ConnectError).code);
      throw error;
    }
  };
}

async function* measured(
  messages: NonNullable<Reply["messages"]>,
  ended: ReturnType<Metrics["clientCall"]>,
): NonNullable<Reply["messages"]> {
  try {
    yield* messages;
  } catch (error) {
    ended((error as ConnectError).code);
    throw error;
  }
  ended();
}
