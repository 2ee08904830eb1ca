/**
 * W3C Trace Context (https://www.w3.org/TR/trace-context-2/): where a call stands in its trace, from header to header.
 * Only the context is kept here; whoever records spans finds in it what a span needs.
 */
import { randomBytes } from "node:crypto";

/** The place of one operation in a trace. */
export interface TraceContext {
  /** 32 hex digits, the same for the whole trace. */
  readonly traceId: string;
  /** 16 hex digits, of this operation. */
  readonly spanId: string;
  /** `spanId` of the operation that caused this one; undefined at the root. */
  readonly parentSpanId?: string;
  /** Whether the caller records the trace. */
  readonly sampled: boolean;
  /** `tracestate` of other vendors, passed on untouched. */
  readonly state?: string;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 0x01;

/** The operation that serves a call with these headers: a child of the caller's, or, if they are malformed, a new root. */
export function traceOf(traceparent: string | undefined, tracestate?: string): TraceContext {
  const parent = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  if (parent === undefined) return { traceId: randomHex(16), spanId: randomHex(8), sampled: false };
  return childOf(tracestate === undefined ? parent : { ...parent, state: tracestate });
}

/** A new operation within the same trace. */
export function childOf(parent: TraceContext): TraceContext {
  return { ...parent, spanId: randomHex(8), parentSpanId: parent.spanId };
}

/** Reads `traceparent`; undefined if it is malformed, of the forbidden version ff, or all zeros. */
export function parseTraceparent(text: string): TraceContext | undefined {
  const [, version, traceId = "", spanId = "", flags = "", rest] = TRACEPARENT.exec(text) ?? [];
  if (version === undefined || version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

/** The `traceparent` that tells the next process about this operation. */
export function formatTraceparent(trace: TraceContext): string {
  return `00-${trace.traceId}-${trace.spanId}-${trace.sampled ? "01" : "00"}`;
}

// One call of the system's generator fills ids for many operations; a call of it for each would cost more than the rest.
const pool = Buffer.alloc(4096);
let used = pool.length;

function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomBytes(pool.length).copy(pool);
    used = 0;
  }
  used += bytes;
  return pool.toString("hex", used - bytes, used);
}
