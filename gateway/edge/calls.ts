/** Sends calls of the edge to the instances that have their method, within the configured time. */
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../../mesh/errors.ts";
import { abortable } from "../../mesh/registry/abortable.ts";
import type { Metadata } from "../../mesh/rpc/metadata.ts";
import type { Call, MethodInfo, Reply, Send } from "../../mesh/rpc/call.ts";
import type { ResponseCache } from "../policy/response-cache/response-cache.ts";
import type { MethodEntry, RouteTable } from "../routes/types.ts";
import type { Exchange, Observers } from "./exchange.ts";
import { unaryTimeoutMs, type TimeoutLimits } from "./timeout.ts";

/** What the protocols of the edge share. */
export interface EdgeContext extends Observers {
  /** The table of the moment. A request uses the one it began with. */
  readonly table: () => RouteTable;
  /** Sends a call as bytes. */
  readonly send: Send;
  /** Stands before it for methods that have rules for it. Default: nothing is cached. */
  readonly responses?: Pick<ResponseCache, "send">;
  readonly limits: EdgeLimits;
}

/** Limits of the edge. */
export interface EdgeLimits extends TimeoutLimits {
  /** Longest request body, and longest message of a stream. */
  readonly maxBodyBytes: number;
  /** Longest silence of a stream. */
  readonly streamIdleMs: number;
  /** Whether JSON fields and query parameters that the request message lacks are accepted. */
  readonly ignoreUnknownFields: boolean;
  /** Hand consistency tokens out as cookies, too. */
  readonly tokenCookies: boolean;
}

/** One call, as a protocol of the edge knows it. */
export interface EdgeCall {
  readonly exchange: Exchange;
  readonly method: MethodEntry;
  readonly request: Call["request"];
  /** What the caller asked for; undefined if it did not. */
  readonly timeoutMs: number | undefined;
  /** Metadata, where it is not the exchange's own. */
  readonly metadata?: Metadata;
}

/** Sends a call of the edge. */
export function sendCall({ send, responses, limits }: EdgeContext, edgeCall: EdgeCall): Promise<Reply> {
  const { exchange, method, request, metadata } = edgeCall;
  const call: Call = {
    method: targeted(method),
    metadata: metadata ?? exchange.metadata(),
    deadline: deadlineOf(method.info, edgeCall.timeoutMs, limits),
    signal: exchange.signal,
    request,
  };
  if (method.caching === undefined || responses === undefined) return send(call);
  return responses.send(method.caching, call, send);
}

/**
 * Waits for a request of one message, which must arrive within the time of its call.
 *
 * @throws ConnectError DEADLINE_EXCEEDED if it does not; the signal's reason if the exchange is aborted first.
 */
export async function received<T>(
  exchange: Exchange,
  timeoutMs: number | undefined,
  { limits }: EdgeContext,
  receiving: Promise<T>,
): Promise<T> {
  const timer = setTimeout(() => exchange.abort(requestTooSlow()), unaryTimeoutMs(timeoutMs, limits));
  try {
    return await abortable(receiving, exchange.signal);
  } finally {
    clearTimeout(timer);
  }
}

function requestTooSlow(): ConnectError {
  const message = "the request did not arrive within the deadline";
  return rpcError(Code.DeadlineExceeded, Reason.DEADLINE_EXCEEDED, message);
}

/** When a call must be over. Streams may last, unless their caller says otherwise. */
function deadlineOf({ kind }: MethodInfo, asked: number | undefined, limits: TimeoutLimits): number {
  if (kind === "unary" || kind === "client_streaming") return Date.now() + unaryTimeoutMs(asked, limits);
  return asked === undefined ? Infinity : Date.now() + asked;
}

const targets = new WeakMap<MethodEntry, MethodInfo>();

/** The method with what the gateway's resolver knows its instances by: see `callTarget`. */
function targeted(entry: MethodEntry): MethodInfo {
  let info = targets.get(entry);
  if (info === undefined) {
    info = { ...entry.info, target: callTarget(entry.info.path) };
    targets.set(entry, info);
  }
  return info;
}

/**
 * What the gateway's resolver is asked for: a method rather than a service, since instances of several versions may run
 * side by side, and a call must go to one that has its method.
 */
export function callTarget(path: string): string {
  return path.slice(1);
}
