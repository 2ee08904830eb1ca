/**
 * What a million entries cost a cache node in memory, and how long its store keeps the event loop busy at a time: filling,
 * overwriting, a burst of expiries, eviction and compaction, with the garbage collector's pauses.
 *
 *     npm run bench -- cache-store [--entries 1000000]
 */
import { PerformanceObserver, type PerformanceEntry } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createStore, type Change, type Store } from "../cache/store/store.ts";

const VALUE = Buffer.alloc(128, "v");
/** Operations of one turn: what a node finds in one message. */
const BATCH = 256;
/** Entries that a node expires in one turn. */
const EXPIRE_STEP = 5000;
const TTL_MS = 30_000;
/** Budget for each: the store is nearly full once it has been filled. */
const BUDGET_BYTES = 256;
const MIB = 1024 * 1024;

/** CPU time of the longest turns, by what was done in them. */
type Turns = Map<string, number>;

/** Prints the figures. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { entries: { type: "string", default: "1000000" } },
  });
  const entries = Number(values.entries);
  let now = Date.now();
  const longest: Turns = new Map();
  const collections = watchCollections();
  const before = process.memoryUsage().rss;
  const store = createStore({ maxBytes: entries * BUDGET_BYTES, clock: { now: () => now } });
  const key = (index: number) => Buffer.from(`bench:${String(index).padStart(16, "0")}`);

  await inTurns(longest, "fill", entries, (index) => {
    // A fifth of them expire at about the same time.
    store.apply(changeOf(key(index), index % 5 === 0 ? now + TTL_MS : Infinity, index + 1));
  });
  const keyBytes = key(0).length;
  const plain = keyBytes + VALUE.length;
  const rss = process.memoryUsage().rss - before;
  console.log(
    `${store.size} entries of ${keyBytes} + ${VALUE.length} bytes: ${(store.usedBytes / store.size - plain).toFixed(1)} bytes over that for each ` +
      `by the store's own count, ${(rss / store.size - plain).toFixed(1)} by RSS`,
  );
  await inTurns(longest, "overwrite", entries / 2, (index) => {
    const at = (index * 7919) % entries;
    store.apply(changeOf(key(at), at % 5 === 0 ? now + TTL_MS : Infinity, entries + index + 1));
  });
  now += TTL_MS + 1000;
  await expireAll(longest, store);
  const churn = 2 * entries;
  await inTurns(longest, "evict and compact", churn, (index) => {
    store.apply(changeOf(key(entries + index), Infinity, 2 * entries + index + 1));
  });
  const turns = [...longest].map(([what, ms]) => `${what} ${ms.toFixed(1)} ms`).join(", ");
  console.log(`Longest turn in CPU time: ${turns}`);
  console.log(
    `Longest pause of the garbage collector: ${collections.longestMs().toFixed(1)} ms (wall time, so with what else the machine does)`,
  );
  const { evicted, expired, compactions } = store.counts;
  console.log(`${expired} expired, ${evicted} evicted, ${compactions} segments compacted`);
  console.log(
    `Memory: ${(store.usedBytes / MIB).toFixed(0)} MiB by the store's own count; RSS ${((process.memoryUsage().rss - before) / MIB).toFixed(0)} MiB above the start`,
  );
}

function changeOf(key: Buffer, expireAt: number, version: number): Change {
  return { key, value: VALUE, version, expireAt, graceMs: 0, tags: [], encoding: 0, space: 0, loadMs: 0 };
}

async function inTurns(
  longest: Turns,
  what: string,
  count: number,
  operate: (index: number) => void,
): Promise<void> {
  for (let at = 0; at < count; at += BATCH) {
    turn(longest, what, () => {
      for (let index = at; index < Math.min(at + BATCH, count); index++) operate(index);
    });
    await setImmediate();
  }
}

async function expireAll(longest: Turns, store: Store): Promise<void> {
  while (turn(longest, "expire", () => store.expire(EXPIRE_STEP))) await setImmediate();
}

function turn<T>(longest: Turns, what: string, work: () => T): T {
  const before = process.threadCpuUsage();
  const result = work();
  const { user, system } = process.threadCpuUsage(before);
  longest.set(what, Math.max(longest.get(what) ?? 0, (user + system) / 1000));
  return result;
}

function watchCollections() {
  let longestMs = 0;
  const note = ({ duration }: PerformanceEntry) => (longestMs = Math.max(longestMs, duration));
  const observer = new PerformanceObserver((list) => list.getEntries().forEach(note));
  observer.observe({ entryTypes: ["gc"] });
  return { longestMs: () => longestMs };
}
