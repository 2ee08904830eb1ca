/**
 * Sends a call again where that can do no harm: when no server has begun it, or when its contract calls it idempotent.
 * A budget for each service keeps retries from adding to an overload (gRFC A6, retry throttling).
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import { sleep, type Clock, type Random } from "../clock.ts";
import { retryAfterMs } from "../errors.ts";
import type { Metrics } from "../observe/metrics.ts";
import { cancelledBy, isUnsent } from "./attempt.ts";
import type { Call, Policy, Reply, Send } from "./call.ts";
import { servedCall } from "./context.ts";
import { isRepeatable } from "./method.ts";

/** What retrying needs. */
export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics | undefined;
  /** Attempts in all. Default 3. */
  readonly maxAttempts?: number;
}

/** Tells the server which attempt a call is, from the second on. It then leaves retries below it to the caller. */
export const ATTEMPT_HEADER = "x-heddle-attempt";

const FIRST_DELAY_MS = 20;
const MAX_DELAY_MS = 200;
const JITTER = 0.2;

/** A server that asks for more patience than this wants the call to fail. */
const MAX_PUSHBACK_MS = 1000;

/** Retries of one channel. */
export function retry({ clock, random, metrics, maxAttempts = 3 }: RetryOptions): Policy {
  const budgets = new Map<string, RetryBudget>();
  return (next) => {
    async function again(
      call: Call,
      failure: ConnectError,
      attempt: number,
      budget: RetryBudget,
    ): Promise<Reply> {
      const delayMs = retryDelayMs(call, failure, attempt, random);
      if (delayMs === undefined) throw failure;
      const allowed = budget.spend();
      metrics?.retryBudget(call.method.service, budget.ratio());
      if (!allowed || attempt >= maxAttempts || clock.now() + delayMs >= call.deadline) throw failure;
      if (delayMs > 0) await wait(delayMs, call.signal, clock);
      call.metadata.set(ATTEMPT_HEADER, String(attempt + 1));
      return run(call, attempt + 1, budget);
    }

    function run(call: Call, attempt: number, budget: RetryBudget): Promise<Reply> {
      return next(call).then(
        (reply) => {
          budget.earn();
          return reply;
        },
        (failure: ConnectError) => again(call, failure, attempt, budget),
      );
    }

    return ((call) => {
      if (!mayRetry(call)) return next(call);
      const { service } = call.method;
      const budget = budgets.get(service) ?? createRetryBudget();
      budgets.set(service, budget);
      return run({ ...call, tried: new Set() }, 1, budget);
    }) satisfies Send;
  };
}

/** Requests of several messages are gone once read, and only one layer of a chain of calls retries. */
function mayRetry(call: Call): boolean {
  return call.request instanceof Uint8Array && !servedCall()?.metadata.has(ATTEMPT_HEADER);
}

/**
 * How long to wait before the next attempt; undefined if there must be none. A call that no server has begun moves on at
 * once the first time: another endpoint is likely up.
 */
export function retryDelayMs(
  call: Pick<Call, "method" | "signal">,
  failure: ConnectError,
  attempt: number,
  random: Random,
): number | undefined {
  if (call.signal.aborted) return undefined;
  const neverSent = isUnsent(failure);
  if (!neverSent && !isRepeatable(call.method)) return undefined;
  const pushbackMs = retryAfterMs(failure);
  if (pushbackMs !== undefined) {
    return retriedIfAsked.has(failure.code) && pushbackMs <= MAX_PUSHBACK_MS ? pushbackMs : undefined;
  }
  if (failure.code !== Code.Unavailable) return undefined;
  if (neverSent && attempt === 1) return 0;
  const delayMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempt - 1));
  return delayMs * (1 - JITTER + 2 * JITTER * random());
}

const retriedIfAsked: ReadonlySet<Code> = new Set([Code.Unavailable, Code.Aborted, Code.ResourceExhausted]);

/** Tokens: a failure that could be retried costs one, a success earns a fifth; retries stop at half. */
export interface RetryBudget {
  /** Takes a token. False if there are too few left to retry. */
  spend(): boolean;
  /** Gives back a part of a token. */
  earn(): void;
  /** What is left, from 0 to 1. */
  ratio(): number;
}

/** A full budget. 200 tokens and 0.2 let a killed instance's calls through, and no more than a fifth in the long run. */
export function createRetryBudget(maxTokens = 200, earned = 0.2): RetryBudget {
  let tokens = maxTokens;
  return {
    spend() {
      tokens = Math.max(0, tokens - 1);
      return tokens > maxTokens / 2;
    },
    earn() {
      tokens = Math.min(maxTokens, tokens + earned);
    },
    ratio: () => tokens / maxTokens,
  };
}

async function wait(delayMs: number, signal: AbortSignal, clock: Clock): Promise<void> {
  try {
    await sleep(delayMs, signal, clock);
  } catch {
    throw cancelledBy(signal);
  }
}
