/**
 * What the cache costs, side by side with redis-server through ioredis in the same run: one client process, rounds of all
 * alternate, so that other load on the machine hits all alike.
 *
 *     npm run bench -- cache [--operations 200000] [--rounds 5]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Redis } from "ioredis";
import { OperationKind, Status } from "../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { freePorts } from "../infra/free-ports.ts";
import { ensureRedis } from "../infra/tools/redis.ts";
import { operation } from "../mesh/cache/session-codec.ts";
import { createCacheTier, type CacheTier } from "../mesh/cache/tier.ts";
import { createStaticResolver } from "../mesh/registry/static-resolver.ts";
import { startCacheCluster } from "../test/support/cache-cluster.ts";
import { cpuUsOf } from "../test/support/node-process.ts";

const IN_FLIGHT = 64;
const KEYS = 10_000;
const TIMEOUT_MS = 10_000;
const WAIT_MS = 1000;

/** Something that is measured: one operation, and the CPU that its server has used. */
interface Contender {
  readonly name: string;
  run(index: number, worker: number): Promise<unknown>;
  serverCpuUs(): number;
}

interface Row {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly serverUs: number;
  readonly clientUs: number;
}

/** Starts both, and prints the tables. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { operations: { type: "string", default: "200000" }, rounds: { type: "string", default: "5" } },
  });
  const operations = Number(values.operations);
  const rounds = Number(values.rounds);
  const redis = await startRedis();
  try {
    await compareReads(redis, operations, rounds);
    await compareWrites(redis, operations / 2, rounds);
  } finally {
    await redis.stop();
  }
}

async function compareReads(redis: RedisPair, operations: number, rounds: number): Promise<void> {
  const value = Buffer.alloc(1024, "v");
  const cluster = await startCacheCluster(1, ["replicas: 1", "namespaces: [{ name: b, ack: one }]"]);
  const tier = createCacheTier({ resolver: createStaticResolver(cluster.addresses), replicas: 1 });
  const plain = new Redis(redis.port);
  const pipelined = new Redis(redis.port, { enableAutoPipelining: true });
  await fill(tier, plain, value);
  const contenders: Contender[] = [
    {
      name: "Heddle cache",
      run: (index) => get(tier, index),
      serverCpuUs: () => cluster.process(0).cpuUs(),
    },
    { name: "ioredis", run: (index) => plain.getBuffer(`b:${index % KEYS}`), serverCpuUs: redis.cpuUs },
    {
      name: "ioredis, pipelining",
      run: (index) => pipelined.getBuffer(`b:${index % KEYS}`),
      serverCpuUs: redis.cpuUs,
    },
  ];
  await report(`GET 1 KiB, ${IN_FLIGHT} in flight`, contenders, operations, rounds);
  await Promise.all([plain.quit(), pipelined.quit(), tier.close()]);
  await cluster.stop();
}

async function compareWrites(redis: RedisPair, operations: number, rounds: number): Promise<void> {
  const value = Buffer.alloc(128, "v");
  const cluster = await startCacheCluster(2, ["namespaces: [{ name: b }]"]);
  const tier = createCacheTier({ resolver: createStaticResolver(cluster.addresses) });
  // WAIT is about the writes of its own connection.
  const connections = Array.from({ length: IN_FLIGHT }, () => new Redis(redis.port));
  const contenders: Contender[] = [
    {
      name: "Heddle cache, two copies",
      run: (index) => set(tier, index, value),
      serverCpuUs: () => cluster.process(0).cpuUs() + cluster.process(1).cpuUs(),
    },
    {
      name: "ioredis, SET + WAIT 1",
      async run(index, worker) {
        const connection = connections[worker] as Redis;
        void connection.set(`b:${index % KEYS}`, value);
        if ((await connection.wait(1, WAIT_MS)) < 1)
          throw new Error("the Redis replica did not answer in time");
      },
      serverCpuUs: redis.cpuUs,
    },
  ];
  await report(`SET 128 B on two nodes, ${IN_FLIGHT} in flight`, contenders, operations, rounds);
  await Promise.all(connections.map((connection) => connection.quit()));
  await tier.close();
  await cluster.stop();
}

async function get(tier: CacheTier, index: number): Promise<void> {
  const op = operation({ kind: OperationKind.GET, key: Buffer.from(`b:${index % KEYS}`) });
  const { status, message } = await tier.execute(op, TIMEOUT_MS);
  if (status !== Status.OK) throw new Error(`GET ended with status ${status} ${message}`);
}

async function set(tier: CacheTier, index: number, value: Buffer): Promise<void> {
  const op = operation({ kind: OperationKind.SET, key: Buffer.from(`b:${index % KEYS}`), value });
  const { status, message } = await tier.execute(op, TIMEOUT_MS);
  if (status !== Status.OK) throw new Error(`SET ended with status ${status} ${message}`);
}

async function fill(tier: CacheTier, redis: Redis, value: Buffer): Promise<void> {
  for (let at = 0; at < KEYS; at += 500) {
    const indexes = Array.from({ length: 500 }, (_, offset) => at + offset);
    await Promise.all(indexes.map((index) => set(tier, index, value)));
    await Promise.all(indexes.map((index) => redis.set(`b:${index}`, value)));
  }
}

async function report(
  title: string,
  contenders: readonly Contender[],
  operations: number,
  rounds: number,
): Promise<void> {
  const rows = new Map<Contender, Row[]>(contenders.map((each) => [each, []]));
  // Nothing is compiled well yet.
  for (const each of contenders) await measure(each, operations);
  for (let round = 0; round < rounds; round++) {
    for (const each of contenders) rows.get(each)?.push(await measure(each, operations));
  }
  console.log(`\n${title}; Node ${process.version}, median of ${rounds} rounds of ${operations}`);
  const first = contenders[0] as Contender;
  const own = median(rows.get(first) ?? [], "perSecond");
  for (const each of contenders) {
    const all = rows.get(each) ?? [];
    const figure = (name: keyof Row, digits: number) => median(all, name).toFixed(digits).padStart(8);
    const ratio = each === first ? "" : `  ×${(own / median(all, "perSecond")).toFixed(2)}`;
    console.log(
      `  ${each.name.padEnd(26)}${figure("perSecond", 0)}/s  p50 ${figure("p50Ms", 2)} ms  p99 ${figure("p99Ms", 2)} ms` +
        `  CPU ${figure("serverUs", 1)} µs server ${figure("clientUs", 1)} µs client${ratio}`,
    );
  }
}

async function measure(contender: Contender, operations: number): Promise<Row> {
  const times: number[] = [];
  let next = 0;
  const serverBefore = contender.serverCpuUs();
  const clientBefore = process.cpuUsage();
  const begin = performance.now();
  const worker = async (number: number) => {
    while (next < operations) {
      const index = next++;
      const start = performance.now();
      await contender.run(index, number);
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, (_, number) => worker(number)));
  const seconds = (performance.now() - begin) / 1000;
  const client = process.cpuUsage(clientBefore);
  times.sort((a, b) => a - b);
  return {
    perSecond: operations / seconds,
    p50Ms: times[Math.floor(times.length * 0.5)] ?? 0,
    p99Ms: times[Math.floor(times.length * 0.99)] ?? 0,
    serverUs: (contender.serverCpuUs() - serverBefore) / operations,
    clientUs: (client.user + client.system) / operations,
  };
}

function median(rows: readonly Row[], name: keyof Row): number {
  const sorted = rows.map((row) => row[name]).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

interface RedisPair {
  readonly port: number;
  /** CPU time of primary and replica together. */
  readonly cpuUs: () => number;
  stop(): Promise<void>;
}

/** A primary and its replica, without persistence. */
async function startRedis(): Promise<RedisPair> {
  const tool = await ensureRedis();
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  const [port, replicaPort] = (await freePorts(2)) as [number, number];
  const children: ChildProcess[] = [];
  for (const [own, more] of [
    [port, []],
    [replicaPort, ["--replicaof", "127.0.0.1", `${port}`]],
  ] as const) {
    const options = [
      "--port",
      `${own}`,
      "--bind",
      "127.0.0.1",
      "--dir",
      folder,
      "--save",
      "",
      "--appendonly",
      "no",
    ];
    children.push(spawn(tool.executable, [...options, ...more], { stdio: "ignore" }));
  }
  const probe = new Redis(port);
  while (!(await probe.info("replication")).includes("state=online")) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await probe.quit();
  return {
    port,
    cpuUs: () => children.reduce((sum, { pid }) => sum + cpuUsOf(pid ?? 0), 0),
    async stop() {
      await Promise.all(children.map((child) => (child.kill(), once(child, "exit"))));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
