import { describe, expect, test } from "vitest";
import { decide, hasMajority, JOIN_GAP_MS, mostComplete, type Situation } from "./decide.ts";
import type { MemberReport, MemberState } from "./member.ts";

const GROUP = "3f6a2b52-5a53-4c6e-9f6d-0b7f6d9f1a01";
const NOW = 100_000;

/** A view such as `1P 2S 3U`: numbers of members with P primary, S secondary, R recovering, U unreachable. */
function report(
  number: number,
  state: MemberState,
  view = "",
  more: Partial<MemberReport> = {},
): MemberReport {
  const letters = { P: "ONLINE", S: "ONLINE", R: "RECOVERING", U: "UNREACHABLE" } as const;
  const rows = view.split(" ").filter(Boolean);
  return {
    uuid: `uuid-${number}`,
    state,
    view: rows.map((row) => ({
      uuid: `uuid-${row[0]}`,
      name: `n${row[0]}`,
      state: letters[row[1] as keyof typeof letters],
      role: row[1] === "P" ? "PRIMARY" : "SECONDARY",
    })),
    executed: "",
    received: "",
    isReadOnly: state !== "ONLINE",
    queue: 0,
    ...more,
  };
}

function member(number: number, report: MemberReport | undefined, more: Partial<Situation> = {}): Situation {
  return { name: `n${number}`, report, isBusy: false, sinceMs: 0, retryAtMs: 0, ...more };
}

const online = (number: number, view: string) => member(number, report(number, "ONLINE", view));
const offline = (number: number, executed = "", received = "") =>
  member(number, report(number, "OFFLINE", "", { executed, received }));

function actions(situations: readonly Situation[], lastJoinMs = 0): string[] {
  return decide(situations, NOW, lastJoinMs).actions.map(({ kind, member }) => `${kind} ${member}`);
}

describe("a group that lives", () => {
  test("is whole when all members are ONLINE, and needs nothing", () => {
    const all = [1, 2, 3].map((number) => online(number, "1P 2S 3S"));
    expect(decide(all, NOW, 0)).toMatchObject({ health: "whole", actions: [] });
  });

  test("takes in one member at a time", () => {
    expect(actions([online(1, "1P"), offline(2), offline(3)])).toEqual(["join n2"]);
    expect(actions([online(1, "1P"), offline(2), offline(3)], NOW - JOIN_GAP_MS + 1)).toEqual([]);
    const second = member(2, report(2, "RECOVERING", "1P 2R"), { isBusy: true });
    expect(actions([online(1, "1P 2R"), second, offline(3)], NOW - JOIN_GAP_MS)).toEqual(["join n3"]);
  });

  test("waits until it has noticed that a member was gone", () => {
    expect(actions([online(1, "1P 2S 3U"), online(2, "1P 2S 3U"), offline(3)])).toEqual([]);
    expect(actions([online(1, "1P 2S"), online(2, "1P 2S"), offline(3)])).toEqual(["join n3"]);
  });

  test("leaves a member in state ERROR time to come back by itself, then makes it leave", () => {
    const failed = (sinceMs: number) => member(3, report(3, "ERROR"), { sinceMs });
    const living = [online(1, "1P 2S"), online(2, "1P 2S")];
    expect(actions([...living, failed(NOW - 9_999)])).toEqual([]);
    expect(actions([...living, failed(NOW - 10_000)])).toEqual(["leave n3"]);
  });

  test("does not wait for a member that does not answer", () => {
    const decision = decide([online(1, "1P"), member(2, undefined), offline(3)], NOW, 0);
    expect(decision).toMatchObject({ health: "degraded", actions: [{ kind: "join", member: "n3" }] });
    expect(decision.why).toContain("n2 does not answer");
  });

  test("leaves a member alone that failed a moment ago, or that is busy", () => {
    const failed = member(2, report(2, "OFFLINE"), { retryAtMs: NOW + 1 });
    const busy = member(3, report(3, "OFFLINE"), { isBusy: true });
    expect(actions([online(1, "1P"), failed, busy])).toEqual([]);
  });

  test("is stuck when there are two", () => {
    const decision = decide([online(1, "1P"), online(2, "2P 3S"), online(3, "2P 3S")], NOW, 0);
    expect(decision).toMatchObject({ health: "stuck", actions: [] });
    expect(decision.why).toContain("different groups");
  });
});

describe("no group", () => {
  test("begins with the first of equal members", () => {
    expect(actions([offline(1), offline(2), offline(3)])).toEqual(["bootstrap n1"]);
    expect(actions([offline(1)])).toEqual(["bootstrap n1"]);
  });

  test("begins with the member that has received most, though another has executed more", () => {
    const [first, second] = [
      offline(1, `${GROUP}:1-1536`),
      offline(2, `${GROUP}:1-1286`, `${GROUP}:1287-1540`),
    ];
    expect(actions([first, second, offline(3, `${GROUP}:1-1400`)])).toEqual(["bootstrap n2"]);
  });

  test("does not begin while a member is silent: it may have seen more", () => {
    const decision = decide([offline(1), offline(2), member(3, undefined)], NOW, 0);
    expect(decision).toMatchObject({ health: "forming", actions: [] });
    expect(decision.why).toContain("n3 does not answer");
    expect(decision.why).toContain("bootstrap --force");
  });

  test("does not begin when no member has seen everything, and names the sets", () => {
    const other = GROUP.replace("3f", "4f");
    const decision = decide([offline(1, `${GROUP}:1-9`), offline(2, `${GROUP}:1-8,${other}:1`)], NOW, 0);
    expect(decision).toMatchObject({ health: "stuck", actions: [] });
    expect(decision.why).toContain(`n1 has ${GROUP}:1-9`);
  });

  test("does not begin while a member that lost the majority still hopes for it", () => {
    expect(actions([online(1, "1P 2U 3U"), offline(2), offline(3)])).toEqual([]);
  });

  test("does not begin twice: not while a member is busy, nor right after a failure", () => {
    expect(actions([member(1, report(1, "OFFLINE"), { isBusy: true }), offline(2)])).toEqual([]);
    expect(actions([member(1, report(1, "OFFLINE"), { retryAtMs: NOW + 1 }), offline(2)])).toEqual([]);
  });

  test("does not wait for a member in state ERROR to leave, unless it alone has seen everything", () => {
    const failed = (executed: string) => member(1, report(1, "ERROR", "", { executed }));
    const others = [offline(2, `${GROUP}:1-5`), offline(3, `${GROUP}:1-7`)];
    expect(actions([failed(`${GROUP}:1-7`), ...others])).toEqual(["bootstrap n3", "leave n1"]);
    expect(actions([failed(`${GROUP}:1-8`), ...others])).toEqual(["leave n1"]);
  });
});

test.each([
  ["1P 2S 3S", true],
  ["1P 2S 3U", true],
  ["1P 2U 3U", false],
  ["1P 2U", false],
  ["1P 2R 3U", true],
  ["1P", true],
])("a member that sees %s has a majority: %s", (view, expected) => {
  expect(hasMajority(report(1, "ONLINE", view))).toBe(expected);
});

test("mostComplete finds none among diverged members", () => {
  expect(mostComplete([offline(1, `${GROUP}:1-2`), offline(2, `${GROUP}:2-3`)])).toEqual([]);
});
