import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { systemClock } from "../clock.ts";
import { rpcError } from "../errors.ts";
import { unsent } from "./attempt.ts";
import type { Call, Idempotency, Reply } from "./call.ts";
import { ATTEMPT_HEADER, createRetryBudget, retry, retryDelayMs } from "./retry.ts";
import { failureOf } from "./testing.ts";

function call(idempotency: Idempotency, request: Call["request"] = new Uint8Array()): Call {
  return {
    method: { service: "s", method: "M", path: "/s/M", kind: "unary", idempotency },
    metadata: new Headers(),
    deadline: Infinity,
    signal: new AbortController().signal,
    request,
  };
}

const ok: Reply = { metadata: new Headers(), message: new Uint8Array(), trailers: () => new Headers() };
const unavailable = new ConnectError("down", Code.Unavailable);
const neverSent = unsent(new ConnectError("refused", Code.Unavailable));
const asked = (code: Code, retryAfterMs: number) =>
  rpcError(code, Reason.IN_PROGRESS, "later", { retryAfterMs });
const half = () => 0.5;

describe("retryDelayMs", () => {
  test.each([
    ["an idempotent call that was lost", "idempotent", unavailable, 1, 20],
    ["a read that was lost, the second time", "no_side_effects", unavailable, 2, 40],
    ["a read that was lost, the tenth time", "no_side_effects", unavailable, 10, 200],
    ["a change that was lost", "unknown", unavailable, 1, undefined],
    ["a change that never left", "unknown", neverSent, 1, 0],
    ["a change that never left, the second time", "unknown", neverSent, 2, 40],
    [
      "an answer that is no failure of the server",
      "idempotent",
      new ConnectError("", Code.NotFound),
      1,
      undefined,
    ],
    ["a deadline", "idempotent", new ConnectError("", Code.DeadlineExceeded), 1, undefined],
    ["an abort", "idempotent", new ConnectError("", Code.Aborted), 1, undefined],
    ["an abort that asks for it", "idempotent", asked(Code.Aborted, 70), 1, 70],
    ["an overload that asks for it", "idempotent", asked(Code.ResourceExhausted, 70), 1, 70],
    ["an overload that asks for too much", "idempotent", asked(Code.ResourceExhausted, 5000), 1, undefined],
    ["a change in an overload that asks for it", "unknown", asked(Code.ResourceExhausted, 70), 1, undefined],
  ] as const)("%s", (_, idempotency, failure, attempt, expected) => {
    expect(retryDelayMs(call(idempotency), failure, attempt, half)).toBe(expected);
  });

  test("varies by a fifth", () => {
    expect(retryDelayMs(call("idempotent"), unavailable, 1, () => 0)).toBe(16);
    expect(retryDelayMs(call("idempotent"), unavailable, 1, () => 1)).toBeCloseTo(24);
  });
});

describe("retry", () => {
  function start(answers: (Reply | ConnectError)[]) {
    const attempts: (string | null)[] = [];
    const policy = retry({ clock: systemClock, random: half, metrics: undefined });
    const send = policy(({ metadata }) => {
      attempts.push(metadata.get(ATTEMPT_HEADER));
      const answer = answers.shift() ?? ok;
      return answer instanceof ConnectError ? Promise.reject(answer) : Promise.resolve(answer);
    });
    return { send, attempts };
  }

  test("numbers the attempts from the second on", async () => {
    const { send, attempts } = start([unavailable, unavailable]);
    expect(await send(call("idempotent"))).toBe(ok);
    expect(attempts).toEqual([null, "2", "3"]);
  });

  test("gives up after three", async () => {
    const { send, attempts } = start([unavailable, unavailable, unavailable]);
    expect(await failureOf(send(call("idempotent")))).toBe(unavailable);
    expect(attempts).toHaveLength(3);
  });

  test("does not wait beyond the deadline", async () => {
    const { send, attempts } = start([unavailable]);
    expect(await failureOf(send({ ...call("idempotent"), deadline: Date.now() + 10 }))).toBe(unavailable);
    expect(attempts).toHaveLength(1);
  });

  test("stops waiting when the caller gives up", async () => {
    const caller = new AbortController();
    const { send, attempts } = start([asked(Code.Unavailable, 900)]);
    const failure = failureOf(send({ ...call("idempotent"), signal: caller.signal }));
    setImmediate(() => caller.abort());
    expect(await failure).toMatchObject({ code: Code.Canceled });
    expect(attempts).toHaveLength(1);
  });

  test("never repeats a request of several messages", async () => {
    async function* messages() {
      yield new Uint8Array();
    }
    const { send, attempts } = start([neverSent]);
    expect(await failureOf(send(call("idempotent", messages())))).toBe(neverSent);
    expect(attempts).toHaveLength(1);
  });

  test("stops when too many calls of the service fail, and begins again when enough succeed", async () => {
    const { send, attempts } = start(Array.from({ length: 400 }, () => neverSent));
    const fail = async (calls: number) => {
      const before = attempts.length;
      for (let i = 0; i < calls; i++)
        await failureOf(send({ ...call("idempotent"), deadline: Date.now() + 5 }));
      return attempts.length - before - calls;
    };
    expect(await fail(100)).toBeGreaterThan(40);
    expect(await fail(50)).toBe(0);
  });
});

describe("createRetryBudget", () => {
  test("lets a hundred retries through at once, then one for every five successes", () => {
    const budget = createRetryBudget();
    let allowed = 0;
    for (let i = 0; i < 150; i++) if (budget.spend()) allowed++;
    expect(allowed).toBe(99);
    for (let i = 0; i < 258; i++) budget.earn();
    expect(budget.spend()).toBe(true);
    expect(budget.spend()).toBe(false);
    expect(budget.ratio()).toBeCloseTo(0.5, 1);
  });
});
