import { create } from "@bufbuild/protobuf";
import { Registry } from "prom-client";
import { afterEach, expect, test } from "vitest";
import { CacheSchema } from "../gen/ts/heddle/config/v1/config_pb.ts";
import { OperationKind, Status } from "../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { operation, type Result } from "../mesh/cache/session-codec.ts";
import { slotOf } from "../mesh/cache/slots.ts";
import { systemClock } from "../mesh/clock.ts";
import { observeNode } from "./metrics.ts";
import { startRuntime, type Runtime } from "./runtime.ts";
import { reportWarmth, warmthOf } from "./warmth.ts";

const config = create(CacheSchema, {
  maxBytes: 4n * 1024n * 1024n,
  namespaces: [{ name: "default" }, { name: "own", maxBytes: 1024n * 1024n }],
});

let nodes: Runtime[] = [];
afterEach(async () => {
  await Promise.all(nodes.map((node) => node.leave(0)));
  nodes = [];
});

async function start(count: number): Promise<Runtime[]> {
  nodes = await Promise.all(
    Array.from({ length: count }, () => startRuntime({ listen: "127.0.0.1:0", config })),
  );
  return nodes;
}

function join(...members: Runtime[]): void {
  for (const node of members) node.joinStatic(members.map(({ address }) => address));
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Executes an operation on a key that the node is primary of. */
function execute({ node }: Runtime, kind: OperationKind): Promise<Result> {
  const keys = Array.from({ length: 100 }, (_, number) => Buffer.from(`default:${number}`));
  const key = keys.find((each) => node.core.ring().place(slotOf(each), node.core.self) === 0)!;
  const op = operation({ id: 1, kind, key, value: Buffer.from("v") });
  return new Promise((resolve) => node.execute(op, resolve));
}

test("a node is warm once it has its place in the ring, and not while a member lacks something", async () => {
  const [one, two] = (await start(2)) as [Runtime, Runtime];
  const told: boolean[] = [];
  const stop = reportWarmth(one.node, systemClock, (isWarm) => told.push(isWarm));
  expect(warmthOf(one.node).isWarm).toBe(false);
  join(one, two);
  await until(() => warmthOf(one.node).isWarm && warmthOf(two.node).isWarm);
  await until(() => told.length === 2);
  expect(warmthOf(one.node)).toEqual({ isWarm: true, coldSlots: 0, behind: [] });
  await two.leave(0);
  await until(() => !warmthOf(one.node).isWarm);
  expect(warmthOf(one.node).behind).toEqual([two.address]);
  await until(() => told.length === 3);
  expect(told).toEqual([false, true, false]);
  stop();
});

test("a node that has left the ring is not warm, though it lacks nothing", async () => {
  const [one, two] = (await start(2)) as [Runtime, Runtime];
  join(one, two);
  await until(() => warmthOf(one.node).isWarm);
  one.joinStatic([two.address]);
  await until(() => one.node.isHandedOver());
  expect(warmthOf(one.node)).toEqual({ isWarm: false, coldSlots: 0, behind: [] });
});

test("metrics tell what a node does, and nothing of peers that are gone", async () => {
  const [one, two] = (await start(2)) as [Runtime, Runtime];
  const registry = new Registry();
  observeNode(registry, one.node, one.settings);
  join(one, two);
  await until(() => warmthOf(one.node).isWarm && warmthOf(two.node).isWarm);
  expect((await execute(one, OperationKind.GET)).status).toBe(Status.MISS);
  expect((await execute(one, OperationKind.SET)).status).toBe(Status.OK);
  expect((await execute(one, OperationKind.GET)).status).toBe(Status.OK);
  const value = async (line: string) => {
    const text = await registry.metrics();
    const found = text.split("\n").find((each) => each.startsWith(`${line} `));
    return found === undefined ? undefined : Number(found.slice(line.length));
  };
  expect(await value('heddle_cache_reads_total{result="hit"}')).toBe(1);
  expect(await value('heddle_cache_reads_total{result="miss"}')).toBe(1);
  expect(await value("heddle_cache_writes_total")).toBe(1);
  expect(await value("heddle_cache_entries")).toBe(1);
  expect(await value("heddle_cache_warm")).toBe(1);
  expect(await value("heddle_cache_max_bytes")).toBe(one.settings.maxBytes);
  expect(await value('heddle_cache_namespace_bytes{namespace="own"}')).toBe(0);
  expect(await value('heddle_cache_namespace_bytes{namespace="default"}')).toBeUndefined();
  await until(async () => (await value(`heddle_cache_replication_lag_seconds{peer="${two.address}"}`)) === 0);
  one.joinStatic([one.address]);
  expect(await value(`heddle_cache_replication_lag_seconds{peer="${two.address}"}`)).toBeUndefined();
});
