import { describe, expect, test } from "vitest";
import { runSchedule, type Fault } from "./schedule.ts";
import type { Mutations } from "./world.ts";

const SEEDS = 24;

test("schedules of faults break none of the promises", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { problems, fault } = runSchedule(seed);
    expect(problems, `seed ${seed}, fault ${fault}`).toEqual([]);
  }
});

test("a seed gives the same history again", () => {
  expect(runSchedule(7).history).toEqual(runSchedule(7).history);
});

describe("the checkers find planted bugs:", () => {
  const find = (mutations: Mutations, fault: Fault, expected: RegExp) => {
    for (let seed = 1; seed < 60; seed++) {
      if (runSchedule(seed, mutations, fault).problems.some((problem) => expected.test(problem))) return true;
    }
    return false;
  };

  test("a replica that acknowledges what it did not apply loses writes", () => {
    const swallow: Mutations["swallow"] = (frame) => frame.kind === "append" && frame.isLive;
    expect(find({ swallow }, "kill", /^lost write/)).toBe(true);
  });

  test("a frame that vanishes makes copies differ", () => {
    const swallow: Mutations["swallow"] = (frame, random) => frame.kind === "append" && random() < 0.1;
    expect(find({ swallow }, "none", /differs/)).toBe(true);
  });

  test("a confirmation that did not come from the replica lets two conditional writes win", () => {
    expect(find({ lying: true }, "split", /^two conditional writes/)).toBe(true);
  });

  test("a client that believes a node before it is filled is told that acknowledged entries are missing", () => {
    expect(find({ hasty: true }, "restart", /^forgotten/)).toBe(true);
  });

  test("reads at a replica are not linearizable", () => {
    expect(find({ readReplica: true }, "none", /no order/)).toBe(true);
  });
});
