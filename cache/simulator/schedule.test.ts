import { describe, expect, test } from "vitest";
import { slotOf } from "../../mesh/cache/slots.ts";
import type { CacheNode } from "../node.ts";
import { runSchedule, type Fault } from "./schedule.ts";
import { createWorld, type Mutations } from "./world.ts";

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

test("copies that differ without cause are found by their fingerprints, and made equal", () => {
  const ids = ["n1", "n2", "n3"];
  const world = createWorld(1, ids);
  for (const id of ids) world.start(id);
  world.publish(ids);
  world.run(2000);
  const key = Buffer.from("n:a");
  const [primary = "", replica = ""] = world.ring().owners(slotOf(key));
  const { core } = world.node(replica) as CacheNode;
  core.store.apply({
    key,
    value: Buffer.from("nobody sent this"),
    version: core.versions.next(),
    expireAt: Infinity,
    graceMs: 0,
    tags: [],
    encoding: 0,
    space: 1,
    loadMs: 0,
  });
  world.run(60_000);
  expect(core.counts.auditAlarms).toBe(1);
  expect(world.node(primary)?.core.store.find(key)).not.toBe(-1);
});
