import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Clock } from "../../mesh/clock.ts";
import type { Decision } from "./decide.ts";
import { leadGroup, retryDelayMs, type Lead } from "./lead.ts";
import type { Member, MemberReport, ViewRow } from "./member.ts";

/** Time passes as fast as the leader can think: each timer fires on the next turn, and the clock has moved on. */
function quickClock(): Clock {
  let nowMs = 0;
  return {
    now: () => nowMs,
    monotonic: () => nowMs,
    after(delayMs, callback) {
      const turn = setImmediate(() => {
        nowMs += delayMs;
        callback();
      });
      return () => clearImmediate(turn);
    },
  };
}

/** Members of a group that exists in memory only. */
function simulate(names: readonly string[]) {
  const inGroup: string[] = [];
  const commands: string[] = [];
  const silent = new Set<string>();
  const failures = new Map<string, number>();

  function report(name: string): MemberReport {
    const state = inGroup.includes(name) ? "ONLINE" : "OFFLINE";
    const view: ViewRow[] = inGroup.map((other, i) => {
      return { uuid: other, name: other, state: "ONLINE", role: i === 0 ? "PRIMARY" : "SECONDARY" };
    });
    const isReadOnly = inGroup[0] !== name;
    return {
      uuid: name,
      state,
      view: state === "ONLINE" ? view : [],
      executed: "",
      received: "",
      isReadOnly,
      queue: 0,
    };
  }

  function member(name: string): Member {
    const enter = (kind: string) => async () => {
      commands.push(`${kind} ${name}`);
      const left = failures.get(name) ?? 0;
      failures.set(name, left - 1);
      if (left > 0) throw new Error("refused");
      inGroup.push(name);
    };
    return {
      name,
      observe: () => (silent.has(name) ? Promise.reject(new Error("silent")) : Promise.resolve(report(name))),
      bootstrap: enter("bootstrap"),
      join: enter("join"),
      leave: () => Promise.resolve(),
      switchover: () => Promise.resolve(),
      close: () => undefined,
    };
  }
  return { members: names.map(member), commands, silent, failures, inGroup };
}

describe("leadGroup", () => {
  let lead: Lead | undefined;
  let told: string[];
  beforeEach(() => {
    told = [];
  });
  afterEach(() => lead?.stop(0));

  const events = {
    decided: ({ health }: Decision) => told.push(health),
    primary: (name: string) => told.push(`primary ${name}`),
    failed: (_: unknown, reason: string, againInMs: number) => told.push(`${reason}, again in ${againInMs}`),
  };

  test("begins a group once and lets the others join, one by one", async () => {
    const { members, commands } = simulate(["a", "b", "c"]);
    lead = leadGroup(members, events, quickClock());
    await lead.whole(new AbortController().signal);
    expect(commands).toEqual(["bootstrap a", "join b", "join c"]);
    expect(told).toContain("primary a");
    expect(lead.decision().health).toBe("whole");
  });

  test("tries again what failed, later and later", async () => {
    const { members, commands, failures } = simulate(["a", "b"]);
    failures.set("b", 2);
    lead = leadGroup(members, events, quickClock());
    await lead.whole(new AbortController().signal);
    expect(commands).toEqual(["bootstrap a", "join b", "join b", "join b"]);
    expect(told.filter((line) => line.includes("again"))).toEqual([
      "refused, again in 1000",
      "refused, again in 2000",
    ]);
  });

  test("brings back a member that fell out, and tells who is the primary now", async () => {
    const { members, commands, inGroup } = simulate(["a", "b"]);
    lead = leadGroup(members, events, quickClock());
    await lead.whole(new AbortController().signal);
    inGroup.shift();
    await expect.poll(() => commands.slice(2)).toEqual(["join a"]);
    await expect.poll(() => told).toContain("primary b");
  });

  test("begins nothing while a member is silent; waiting for it can be given up", async () => {
    const { members, commands, silent } = simulate(["a", "b"]);
    silent.add("b");
    lead = leadGroup(members, events, quickClock());
    const giveUp = new AbortController();
    const whole = lead.whole(giveUp.signal);
    await expect.poll(() => lead?.decision().why).toContain("b does not answer");
    giveUp.abort(new Error("enough"));
    await expect(whole).rejects.toThrow("enough");
    expect(commands).toEqual([]);
  });
});

test("retryDelayMs doubles from one second to ten", () => {
  expect([1, 2, 3, 4, 5, 50].map(retryDelayMs)).toEqual([1000, 2000, 4000, 8000, 10_000, 10_000]);
});
