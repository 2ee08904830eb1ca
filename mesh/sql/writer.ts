/**
 * Runs transactions on the primary, whichever member that is, until they are committed, are known to be impossible, or
 * time is up. Nothing is applied twice: what may have been committed is run again only if it can find that out.
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { sleep, type Clock, type Random } from "../clock.ts";
import { rpcError } from "../errors.ts";
import type { Deadline } from "./deadline.ts";
import {
  classifyError,
  KeyBusy,
  SqlError,
  STATEMENT_TIMEOUT,
  ACQUIRE_TIMEOUT,
  TRANSACTION_GONE,
  type ErrorClass,
} from "./errors.ts";
import { refused, type Hold, type Turn } from "./hold.ts";
import type { MemberPool } from "./member-pool.ts";
import type { SqlMetrics } from "./metrics.ts";
import type { Monitor } from "./monitor.ts";
import type { Tx } from "./queryable.ts";
import { RunFailed, runTransaction } from "./transaction.ts";

/** What a writer needs. */
export interface WriterOptions {
  readonly monitor: Monitor;
  readonly hold: Hold;
  /** The pool of connections that write to a member. */
  readonly pool: (member: string) => MemberPool;
  readonly acquireMs: number;
  readonly statementMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: SqlMetrics;
  /** A transaction that wrote was committed. */
  readonly onCommit: (gtids: string) => void;
}

/** Runs a transaction. */
export interface Writer {
  /** `canRerun`: the work finds out by itself whether an earlier run was committed. */
  <T>(work: (tx: Tx) => Promise<T>, canRerun: boolean, deadline: Deadline): Promise<T>;
}

const MAX_CONFLICTS = 3;
/** A member that left its group may not know it yet; this is how long it is asked. */
const ASK_MS = 500;

/** Makes a writer. */
export function createWriter(options: WriterOptions): Writer {
  return async (work, canRerun, deadline) => {
    for (let attempt = 0, conflicts = 0; ; attempt++) {
      const turn = await options.hold.enter(deadline.until);
      let failure: SqlError;
      try {
        return await runOn(options, turn, work, deadline);
      } catch (error) {
        if (!(error instanceof RunFailed)) throw error;
        const found = await classify(options, turn.writer, error);
        if (found === "rolled_back") conflicts++;
        if (found === "unknown") options.metrics.unknown(canRerun);
        giveUp(options, found, error.error, { writer: turn.writer, canRerun, conflicts, deadline });
        options.metrics.retried(found);
        failure = error.error;
      }
      if (isMembersFault(failure)) options.monitor.suspect(turn.writer, failure.code);
      await sleep(backoffMs(attempt, options.random), undefined, options.clock);
    }
  };
}

async function runOn<T>(
  { pool, acquireMs, statementMs, metrics, onCommit }: WriterOptions,
  { writer, hasWaited }: Turn,
  work: (tx: Tx) => Promise<T>,
  deadline: Deadline,
): Promise<T> {
  const connections = pool(writer);
  const patienceMs = deadline.atMost(hasWaited ? Infinity : acquireMs);
  const connection = await connections.acquire(patienceMs).catch((error: SqlError) => {
    throw new RunFailed(error, "unsent");
  });
  try {
    const limits = { statementMs: () => deadline.atMost(statementMs), commitMs: statementMs };
    const { value, gtids } = await runTransaction(connection, work, limits);
    metrics.committed(writer);
    if (gtids !== "") onCommit(gtids);
    return value;
  } finally {
    connections.release(connection);
  }
}

async function classify({ monitor }: WriterOptions, member: string, failed: RunFailed): Promise<ErrorClass> {
  const { error, phase } = failed;
  // Only for this error does it matter whether the member is still in its group.
  const healthy = error.errno === 3100 && (await isHealthy(monitor, member));
  return classifyError(error, { phase, healthy });
}

async function isHealthy(monitor: Monitor, member: string): Promise<boolean> {
  return (await monitor.answers(member, ASK_MS)) && monitor.topology.writer === member;
}

interface Situation {
  readonly writer: string;
  readonly canRerun: boolean;
  readonly conflicts: number;
  readonly deadline: Deadline;
}

/** Throws unless it makes sense to try again. */
function giveUp({ monitor }: WriterOptions, found: ErrorClass, error: SqlError, situation: Situation): void {
  const { writer, canRerun, conflicts, deadline } = situation;
  switch (found) {
    case "caller":
    case "too_large":
      throw error;
    case "refused":
      throw refused(error.message);
    case "rolled_back":
      if (conflicts > MAX_CONFLICTS) throw error instanceof KeyBusy ? inProgress(error) : conflict(error);
      break;
    case "unknown":
      // Part of it may have been committed, without the rest.
      if (!canRerun || error.code === TRANSACTION_GONE) throw outcomeUnknown(error);
      break;
    case "lost":
    case "not_executed":
      // A member that is well but slow will not be faster the next time.
      if (monitor.topology.writer === writer) throwIfSlow(error);
      break;
  }
  if (deadline.isOver()) throw timeIsUp(error, found === "unknown");
}

function throwIfSlow(error: SqlError): void {
  if (error.code === ACQUIRE_TIMEOUT) throw poolExhausted(error);
  if (error.code === STATEMENT_TIMEOUT) throw statementTimeout(error);
}

/** Whether the error says that the member is no good as a writer now. */
function isMembersFault({ fatal, errno }: SqlError): boolean {
  return fatal || errno === 1290 || errno === 1836 || errno === 3032 || errno === 3100;
}

function backoffMs(attempt: number, random: Random): number {
  return Math.min(200, 5 * 2 ** attempt) * (0.5 + random());
}

function conflict(cause: SqlError): ConnectError {
  const message = `the transaction was rolled back ${MAX_CONFLICTS + 1} times by conflicts with others`;
  return rpcError(Code.Aborted, Reason.TRANSACTION_CONFLICT, message, { retryAfterMs: 100, cause });
}

function inProgress(cause: SqlError): ConnectError {
  const message = "a call with the same idempotency key is still running";
  return rpcError(Code.Aborted, Reason.IN_PROGRESS, message, { retryAfterMs: 1000, cause });
}

function outcomeUnknown(cause: SqlError): ConnectError {
  const message =
    "the connection was lost while the transaction was being committed; only a write with a key can find out";
  return rpcError(Code.Aborted, Reason.OUTCOME_UNKNOWN, message, { cause });
}

/** No connection became free in time. */
export function poolExhausted(cause: SqlError): ConnectError {
  return rpcError(Code.ResourceExhausted, Reason.POOL_EXHAUSTED, cause.message, { retryAfterMs: 200, cause });
}

/** A statement took too long on a member that is well. */
export function statementTimeout(cause: SqlError): ConnectError {
  return rpcError(Code.DeadlineExceeded, Reason.STATEMENT_TIMEOUT, cause.message, { cause });
}

function timeIsUp(cause: SqlError, isUnknown: boolean): ConnectError {
  if (isUnknown) return outcomeUnknown(cause);
  return rpcError(
    Code.Unavailable,
    Reason.NO_PRIMARY,
    `no primary took the write in time; last: ${cause.message}`,
    {
      retryAfterMs: 1000,
      cause,
    },
  );
}
