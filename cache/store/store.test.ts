import { describe, expect, test } from "vitest";
import { slotOf } from "../../mesh/cache/slots.ts";
import { seededRandom } from "../../mesh/clock.ts";
import { Flag } from "./columns.ts";
import { createStore, type Change, type Store, type StoreOptions } from "./store.ts";

const MIB = 1024 * 1024;
let now = 1_700_000_000_000;
const clock = { now: () => now };

function make(options: Partial<StoreOptions> = {}): Store {
  now = 1_700_000_000_000;
  return createStore({ maxBytes: 4 * MIB, clock, ...options });
}

function change(key: string, value: string | Uint8Array | undefined, more: Partial<Change> = {}): Change {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return {
    key: Buffer.from(key),
    value: bytes,
    version: 1,
    expireAt: Infinity,
    graceMs: 0,
    tags: [],
    encoding: 0,
    space: 0,
    loadMs: 0,
    ...more,
  };
}

function valueOf(store: Store, key: string): string | undefined {
  const id = store.find(Buffer.from(key));
  if (id === -1) return undefined;
  if (((store.columns.flags[id] as number) & Flag.tombstone) !== 0) return "(deleted)";
  return store.arena.valueAt(store.columns.address[id] as number).toString();
}

describe("apply", () => {
  test("keeps the greatest version, in whatever order changes come", () => {
    const changes = [
      change("k", "one", { version: 1 }),
      change("k", "two", { version: 2 }),
      change("k", undefined, { version: 3 }),
      change("k", "four", { version: 4 }),
    ];
    const random = seededRandom(7);
    for (let round = 0; round < 50; round++) {
      const store = make();
      for (const each of changes.toSorted(() => random() - 0.5)) store.apply(each);
      expect(valueOf(store, "k")).toBe("four");
      expect(store.audit.of(slotOf(Buffer.from("k")))).not.toBe(0);
    }
  });

  test("decides equal versions by content, alike everywhere", () => {
    const [a, b] = [change("k", "left"), change("k", "right")];
    const [one, other] = [make(), make()];
    for (const each of [a, b]) one.apply(each);
    for (const each of [b, a]) other.apply(each);
    expect(valueOf(one, "k")).toBe(valueOf(other, "k"));
  });

  test("lets a deletion win over a value of the same version", () => {
    const store = make();
    store.apply(change("k", "v"));
    store.apply(change("k", undefined));
    expect(store.apply(change("k", "v"))).toBe("older");
    expect(valueOf(store, "k")).toBe("(deleted)");
  });

  test("keeps tags, encoding and times beside the bytes", () => {
    const store = make();
    store.apply(
      change("key", "value", { tags: [2 ** 52 + 1, 7], encoding: 3, graceMs: 9, expireAt: now + 5 }),
    );
    const id = store.find(Buffer.from("key"));
    const at = store.columns.address[id] as number;
    expect(store.arena.tagsAt(at)).toEqual([2 ** 52 + 1, 7]);
    expect(store.arena.encodingAt(at)).toBe(3);
    expect(store.arena.keyAt(at).toString()).toBe("key");
    expect(store.columns.graceMs[id]).toBe(9);
  });

  test("gives equal fingerprints to stores with the same entries", () => {
    const random = seededRandom(3);
    const changes = Array.from({ length: 2000 }, (_, index) =>
      change(`k${Math.floor(random() * 500)}`, random() < 0.2 ? undefined : `v${index}`, {
        version: Math.floor(random() * 1e9) + 1,
      }),
    );
    const [one, other] = [make(), make()];
    for (const each of changes) one.apply(each);
    for (const each of changes.toReversed()) other.apply(each);
    for (let slot = 0; slot < 4096; slot++) expect(one.audit.of(slot)).toBe(other.audit.of(slot));
  });

  test("refuses what can never fit, and drops the old value rather than serve it", () => {
    const store = make();
    store.apply(change("k", "old"));
    expect(store.apply(change("k", new Uint8Array(3 * MIB), { version: 2 }))).toBe("no_room");
    expect(valueOf(store, "k")).toBeUndefined();
  });
});

describe("budget", () => {
  test("is never exceeded, whatever the sizes, and what is kept is intact", () => {
    const store = make();
    const random = seededRandom(11);
    const latest = new Map<string, string>();
    for (let version = 1; version < 60_000; version++) {
      const key = `key-${Math.floor(random() ** 2 * 20_000)}`;
      const value = `${key}:${version}:`.padEnd(Math.floor(20 + random() ** 8 * 40_000), "x");
      const deleted = random() < 0.05;
      store.apply(change(key, deleted ? undefined : value, { version, expireAt: now + 60_000 }));
      latest.set(key, deleted ? "(deleted)" : value);
      if (version % 1000 === 0) expect(store.usedBytes).toBeLessThanOrEqual(4 * MIB);
    }
    let kept = 0;
    for (const [key, value] of latest) {
      const found = valueOf(store, key);
      if (found === undefined) continue;
      kept++;
      expect(found).toBe(value);
    }
    expect(kept).toBeGreaterThan(100);
    expect(store.counts.evicted).toBeGreaterThan(1000);
    expect(store.counts.compactions).toBeGreaterThan(0);
  });

  test("gives back everything when all is dropped", () => {
    const store = make();
    for (let i = 0; i < 5000; i++) store.apply(change(`k${i}`, "value".repeat(20)));
    store.clear();
    expect(store.size).toBe(0);
    expect(store.arena.liveBytes).toBe(0);
    for (let slot = 0; slot < 4096; slot++) expect(store.audit.of(slot)).toBe(0);
  });

  test("lets a space with a quota grow at its own cost only", () => {
    const store = make({ quotas: [0, 256 * 1024] });
    for (let i = 0; i < 1000; i++) store.apply(change(`mine-${i}`, "x".repeat(200)));
    for (let i = 0; i < 20_000; i++) store.apply(change(`theirs-${i}`, "x".repeat(200), { space: 1 }));
    expect(store.spaceBytes(1)).toBeLessThanOrEqual(257 * 1024);
    expect(Array.from({ length: 1000 }, (_, i) => valueOf(store, `mine-${i}`)).every(Boolean)).toBe(true);
  });

  test("forgets the oldest deletions rather than outgrow its share", () => {
    const store = make();
    for (let i = 0; i < 60_000; i++) store.apply(change(`deleted-${i}`, undefined, { expireAt: now + 1e6 }));
    expect(store.usedBytes).toBeLessThanOrEqual(4 * MIB);
    expect(store.counts.forgotten).toBeGreaterThan(0);
    expect(valueOf(store, "deleted-59999")).toBe("(deleted)");
  });

  test("takes at most 100 bytes an entry beyond key and value of 128 bytes", () => {
    const store = make({ maxBytes: 64 * MIB });
    const value = "v".repeat(128);
    for (let i = 0; store.counts.evicted === 0; i++) {
      store.apply(change(`key:${i}`.padEnd(22, "-"), value));
    }
    expect(store.usedBytes / store.size - 150).toBeLessThanOrEqual(100);
  });
});

describe("expire", () => {
  test("removes entries after time and grace, not before", () => {
    const store = make();
    store.apply(change("soon", "v", { expireAt: now + 5_000 }));
    store.apply(change("grace", "v", { expireAt: now + 5_000, graceMs: 10_000 }));
    store.apply(change("late", "v", { expireAt: now + 8 * 3_600_000 }));
    now += 4_900;
    store.expire(1000);
    expect(store.size).toBe(3);
    now += 1_200;
    store.expire(1000);
    expect([valueOf(store, "soon"), valueOf(store, "grace")]).toEqual([undefined, "v"]);
    now += 10_000;
    store.expire(1000);
    expect(store.size).toBe(1);
    now += 8 * 3_600_000;
    store.expire(1000);
    expect(store.size).toBe(0);
  });

  test("finds every entry, whenever it is due", () => {
    const store = make({ maxBytes: 16 * MIB });
    const random = seededRandom(5);
    const dues = Array.from({ length: 3000 }, () => Math.floor(random() ** 4 * 30 * 86_400_000));
    for (const [index, due] of dues.entries()) store.apply(change(`k${index}`, "v", { expireAt: now + due }));
    const start = now;
    for (const step of [1_000, 63_000, 64_000, 3_600_000, 86_400_000, 10 * 86_400_000, 31 * 86_400_000]) {
      now = start + step;
      while (store.expire(500));
      const left = dues.filter((due) => Math.ceil((start + due) / 1000) > Math.floor(now / 1000)).length;
      expect(store.size).toBe(left);
    }
  });

  test("does a bounded amount of work at once", () => {
    const store = make();
    for (let i = 0; i < 1000; i++) store.apply(change(`k${i}`, "v", { expireAt: now + 1000 }));
    now += 5000;
    expect(store.expire(100)).toBe(true);
    expect(store.size).toBeGreaterThanOrEqual(900);
    while (store.expire(100));
    expect(store.size).toBe(0);
  });

  test("keeps a deletion for as long as a copy may not have heard of it", () => {
    let heard = false;
    const store = make({ mayForget: () => heard });
    store.apply(change("k", undefined, { expireAt: now + 1000 }));
    now += 20_000;
    store.expire(10);
    expect(store.size).toBe(1);
    heard = true;
    now += 20_000;
    store.expire(10);
    expect(store.size).toBe(0);
  });
});

test("tells of changes of entries that clients keep near", () => {
  const told: number[] = [];
  const store = make({ onNear: (hash) => told.push(hash) });
  store.apply(change("k", "v"));
  const id = store.find(Buffer.from("k"));
  store.columns.flags[id] = (store.columns.flags[id] as number) | Flag.near;
  store.apply(change("k", "w", { version: 2 }));
  expect(told).toEqual([store.columns.hash[id]]);
  store.apply(change("k", "x", { version: 3 }));
  expect(told).toHaveLength(1);
});
