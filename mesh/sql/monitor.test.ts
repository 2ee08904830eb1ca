import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../clock.ts";
import { createMonitor } from "./monitor.ts";
import type { Problem, View } from "./topology.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const [A, B] = ["a:1", "b:1"];

function view(self: string, viewId: string, primary: string): View {
  const members = [A, B].map((address) => {
    return { id: address, address, state: "ONLINE", role: address === primary ? "PRIMARY" : "SECONDARY" };
  });
  return { self, viewId, members, applierQueue: 0, readOnly: self !== primary, offline: false };
}

const late: Problem = { problem: "no answer within 400 ms", late: true };
const gone: Problem = { problem: "connect ECONNREFUSED" };

/** A group of which only A is a seed. `answers` may be changed while it runs. */
function monitorOf(answers: Record<string, View | Problem | undefined>) {
  const asked: string[] = [];
  const monitor = createMonitor({
    seeds: [A],
    account: { user: "", password: "" },
    clock: systemClock,
    ask(address) {
      asked.push(address);
      const answer = answers[address];
      return answer === undefined ? new Promise(() => undefined) : Promise.resolve(answer);
    },
  });
  const writers: (string | undefined)[] = [];
  monitor.watch(({ writer }) => void (writers.at(-1) !== writer && writers.push(writer)));
  return { monitor, asked, writers };
}

describe("monitor", () => {
  test("discovers the others from one seed", async () => {
    const { monitor } = monitorOf({ [A]: view(A, "1:1", B), [B]: view(B, "1:1", B) });
    await monitor.ready;
    await vi.advanceTimersByTimeAsync(0);
    expect(monitor.topology).toMatchObject({ writer: B, readers: [A, B] });
    monitor.close();
  });

  test("asks each member every 250 ms, and every 50 ms while nobody may be written", async () => {
    const answers: Record<string, View | Problem> = { [A]: view(A, "1:1", A), [B]: view(B, "1:1", A) };
    const { monitor, asked } = monitorOf(answers);
    await vi.advanceTimersByTimeAsync(10);
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toHaveLength(8);
    answers[A] = gone;
    await vi.advanceTimersByTimeAsync(250);
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toHaveLength(40);
    monitor.close();
  });

  test("tells of a new primary as soon as a member says so", async () => {
    const answers: Record<string, View | Problem> = { [A]: view(A, "1:1", A), [B]: view(B, "1:1", A) };
    const { monitor, writers } = monitorOf(answers);
    await vi.advanceTimersByTimeAsync(10);
    answers[A] = gone;
    await vi.advanceTimersByTimeAsync(250);
    answers[B] = view(B, "1:2", B);
    await vi.advanceTimersByTimeAsync(50);
    expect(writers).toEqual([A, undefined, B]);
    monitor.close();
  });

  test("forgives one late answer, not two", async () => {
    const answers: Record<string, View | Problem> = { [A]: view(A, "1:1", A), [B]: view(B, "1:1", A) };
    const { monitor, writers } = monitorOf(answers);
    await vi.advanceTimersByTimeAsync(10);
    answers[A] = late;
    await vi.advanceTimersByTimeAsync(250);
    answers[A] = view(A, "1:1", A);
    await vi.advanceTimersByTimeAsync(1000);
    expect(writers).toEqual([A]);
    answers[A] = late;
    await vi.advanceTimersByTimeAsync(500);
    expect(writers).toEqual([A, undefined]);
    monitor.close();
  });

  test("does not use a suspect until it has answered again, and asks it at once", async () => {
    const { monitor, asked, writers } = monitorOf({ [A]: view(A, "1:1", A), [B]: view(B, "1:1", A) });
    await vi.advanceTimersByTimeAsync(10);
    asked.length = 0;
    monitor.suspect(A, "ECONNRESET");
    expect(monitor.topology.writer).toBeUndefined();
    expect(asked).toContain(A);
    await vi.advanceTimersByTimeAsync(1);
    expect(writers).toEqual([A, undefined, A]);
    monitor.close();
  });

  test("tells within the given time whether a member answers", async () => {
    const answers: Record<string, View | Problem | undefined> = { [A]: view(A, "1:1", A) };
    const { monitor } = monitorOf(answers);
    await vi.advanceTimersByTimeAsync(10);
    expect(await monitor.answers(A, 100)).toBe(true);
    expect(await monitor.answers("unknown:1", 100)).toBe(false);
    answers[A] = undefined;
    const answer = monitor.answers(A, 100);
    await vi.advanceTimersByTimeAsync(100);
    expect(await answer).toBe(false);
    monitor.close();
  });

  test("asks nobody any more once it is closed", async () => {
    const { monitor, asked } = monitorOf({ [A]: view(A, "1:1", A), [B]: view(B, "1:1", A) });
    await vi.advanceTimersByTimeAsync(10);
    monitor.close();
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toEqual([]);
  });
});
