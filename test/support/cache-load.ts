/** A steady load on a cache tier that checks every answer, for chaos tests. */
import { OperationKind, Status } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { operation, type Operation } from "../../mesh/cache/session-codec.ts";
import type { CacheTier } from "../../mesh/cache/tier.ts";
import type { Random } from "../../mesh/clock.ts";

/** What is asked for, and how often. */
export interface LoadOptions {
  /** As many processes of clients. */
  readonly tiers: readonly CacheTier[];
  /** All of them exist: a read that misses one is counted. */
  readonly keys: readonly Buffer[];
  readonly valueBytes: number;
  readonly opsPerS: number;
  /** Share of writes, from 0 to 1. */
  readonly writeRatio: number;
  readonly timeoutMs: number;
  readonly random: Random;
}

/** What came of it since the last `take`. */
export interface LoadReport {
  readonly operations: number;
  /** One sentence for each operation that failed. */
  readonly failures: readonly string[];
  readonly misses: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** A load that runs. */
export interface Load {
  /** The report so far; begins a new one. */
  take(): LoadReport;
  stop(): Promise<void>;
}

/** Writes all keys once. */
export async function store({ tiers, keys, valueBytes, timeoutMs }: LoadOptions): Promise<void> {
  for (let at = 0; at < keys.length; at += 100) {
    const batch = keys.slice(at, at + 100).map((key) => setOf(key, valueBytes));
    const answers = await Promise.all(batch.map((op) => tiers[0]!.execute(op, timeoutMs)));
    const failed = answers.find(({ status }) => status !== Status.OK);
    if (failed !== undefined)
      throw new Error(`a key cannot be stored: ${nameOf(Status, failed.status)} ${failed.message}`);
  }
}

/** Begins: operations are sent when they are due, whatever became of those before. */
export function startLoad(options: LoadOptions): Load {
  const { tiers, keys, random } = options;
  let failures: string[] = [];
  let latencies: number[] = [];
  let misses = 0;
  const running = new Set<Promise<void>>();
  const begin = performance.now();
  let sent = 0;

  async function one(tier: CacheTier, op: Operation): Promise<void> {
    const start = performance.now();
    const { status, message } = await tier.execute(op, options.timeoutMs);
    latencies.push(performance.now() - start);
    if (status === Status.MISS) misses++;
    else if (status !== Status.OK)
      failures.push(`${nameOf(OperationKind, op.kind)}: ${nameOf(Status, status)} ${message}`);
  }

  const timer = setInterval(() => {
    const due = ((performance.now() - begin) / 1000) * options.opsPerS;
    for (; sent < due; sent++) {
      const key = keys[Math.floor(random() * keys.length)]!;
      const isWrite = random() < options.writeRatio;
      const op = isWrite ? setOf(key, options.valueBytes) : operation({ kind: OperationKind.GET, key });
      const done = one(tiers[sent % tiers.length]!, op).finally(() => running.delete(done));
      running.add(done);
    }
  }, 2);

  return {
    take() {
      const sorted = latencies.sort((a, b) => a - b);
      const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0;
      const report = { operations: sorted.length, failures, misses, p50Ms: at(0.5), p99Ms: at(0.99) };
      [latencies, failures, misses] = [[], [], 0];
      return report;
    },
    async stop() {
      clearInterval(timer);
      await Promise.all(running);
    },
  };
}

function setOf(key: Buffer, valueBytes: number): Operation {
  return operation({ kind: OperationKind.SET, key, value: Buffer.alloc(valueBytes, 1) });
}

function nameOf(names: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(names).find((name) => names[name] === value) ?? `${value}`;
}
