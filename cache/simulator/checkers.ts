/** What a history of operations, and the cluster after it, must fulfil. Each checker returns what is wrong, one line each. */
import { slotOf } from "../../mesh/cache/slots.ts";
import { ownersOf } from "../ownership.ts";
import { TOMBSTONE_MS } from "../writes.ts";
import type { World } from "./world.ts";

/** One operation as a client saw it. */
export interface Event {
  readonly key: string;
  readonly kind: "get" | "set" | "delete" | "cas";
  /** SET, CAS: the value written. GET: the value read; undefined for none. */
  readonly value: string | undefined;
  readonly calledAt: number;
  /** Infinity: no answer, so that it may take effect at any time or never. */
  readonly answeredAt: number;
  readonly outcome: "ok" | "failed" | "unknown";
  /** Version of the entry that was written or read. */
  readonly version: number;
  /** CAS: the version that it replaced. */
  readonly base: number;
}

/** An acknowledged write may only be gone if a write or deletion with a greater version came after it. */
export function findLost(history: readonly Event[], world: World): string[] {
  return keysOf(history).flatMap((key) => {
    const acked = history.filter(
      (event) => event.key === key && event.kind !== "get" && event.outcome === "ok",
    );
    const last = acked.toSorted((a, b) => b.version - a.version)[0];
    if (last === undefined) return [];
    // A deletion without an answer may have happened at any time, and is forgotten after a while.
    const mayBeForgotten = history.some(
      (event) =>
        event.key === key &&
        event.kind === "delete" &&
        (event === last || event.outcome === "unknown") &&
        world.now() - event.calledAt >= TOMBSTONE_MS,
    );
    return ownersOf(world.ring(), slotOf(Buffer.from(key))).flatMap((node) => {
      const found = lookUp(world, node, key);
      if (found === undefined ? mayBeForgotten : found.version >= last.version) return [];
      const what = last.kind === "delete" ? "resurrected delete" : "lost write";
      return [
        `${what}: ${node} has version ${found?.version ?? "none"} of ${key}, acknowledged was ${last.version}`,
      ];
    });
  });
}

/** While a node lives that has what was acknowledged, no reader is told that it is missing. */
export function findForgotten(history: readonly Event[]): string[] {
  return history.flatMap((read) => {
    if (read.kind !== "get" || read.outcome !== "ok" || read.value !== undefined) return [];
    const before = history.filter(({ key, kind }) => key === read.key && kind !== "get");
    const isWritten = before.some(
      ({ kind, outcome, answeredAt }) => kind !== "delete" && outcome === "ok" && answeredAt < read.calledAt,
    );
    const isDeleted = before.some(({ kind, calledAt }) => kind === "delete" && calledAt < read.answeredAt);
    return isWritten && !isDeleted
      ? [`forgotten: ${read.key} was acknowledged before ${read.calledAt}, and read as missing`]
      : [];
  });
}

/** After the faults all owners of a slot hold the same. */
export function findDiverged(history: readonly Event[], world: World): string[] {
  return keysOf(history).flatMap((key) => {
    const slot = slotOf(Buffer.from(key));
    const prints = ownersOf(world.ring(), slot).map((node) => world.node(node)?.core.store.audit.of(slot));
    return prints.every((print) => print === prints[0])
      ? []
      : [`slot ${slot} of ${key} differs: ${prints.join(" ")}`];
  });
}

/** Of the conditional writes that replace one version of a key, at most one succeeds. */
export function findTwoWinners(history: readonly Event[]): string[] {
  const winners = history
    .filter(({ kind, outcome }) => kind === "cas" && outcome === "ok")
    .toSorted((a, b) => a.version - b.version);
  return winners.flatMap((event, index) => {
    const earlier = winners
      .slice(0, index)
      .findLast(({ key, base }) => key === event.key && base === event.base);
    if (earlier === undefined || isDeletedBetween(history, earlier, event)) return [];
    return [`two conditional writes replaced version ${event.base} of ${event.key}`];
  });
}

/** A key that was deleted may be made anew. */
function isDeletedBetween(history: readonly Event[], earlier: Event, later: Event): boolean {
  return (
    later.base === 0 &&
    history.some(({ key, kind, outcome, version, calledAt }) => {
      if (key !== later.key || kind !== "delete") return false;
      if (outcome !== "ok") return calledAt < later.answeredAt;
      return version > earlier.version && version < later.version;
    })
  );
}

/**
 * Every key behaves as one register: there is an order of its operations, in keeping with real time, in which each read
 * sees the write before it (Wing and Gong, "Testing and verifying concurrent objects", 1993, with Lowe's memory of
 * states that failed).
 */
export function findNotLinearizable(history: readonly Event[]): string[] {
  return keysOf(history).flatMap((key) => {
    const events = history.filter(
      (event) => event.key === key && !(event.outcome !== "ok" && event.kind === "get"),
    );
    return isLinearizable(events)
      ? []
      : [`the operations on ${key} have no order that explains what was read`];
  });
}

function isLinearizable(events: readonly Event[]): boolean {
  const failed = new Set<string>();
  const count = events.length;

  function search(done: bigint, value: string | undefined): boolean {
    if (events.every((event, index) => has(done, index) || event.outcome !== "ok")) return true;
    const state = `${done}/${value}`;
    if (failed.has(state)) return false;
    const earliestEnd = Math.min(
      ...events.map(({ answeredAt, outcome }, index) =>
        has(done, index) || outcome !== "ok" ? Infinity : answeredAt,
      ),
    );
    for (let index = 0; index < count; index++) {
      const event = events[index] as Event;
      if (has(done, index) || event.calledAt > earliestEnd || event.outcome === "failed") continue;
      if (event.kind === "get" && event.value !== value) continue;
      const next = event.kind === "get" ? value : event.kind === "delete" ? undefined : event.value;
      if (search(done | (1n << BigInt(index)), next)) return true;
    }
    failed.add(state);
    return false;
  }

  return search(0n, undefined);
}

function has(done: bigint, index: number): boolean {
  return ((done >> BigInt(index)) & 1n) === 1n;
}

/** What a node holds of a key, a deletion included. */
function lookUp(world: World, node: string, key: string): { version: number } | undefined {
  const store = world.node(node)?.core.store;
  const id = store?.find(Buffer.from(key)) ?? -1;
  if (store === undefined || id === -1) return undefined;
  return { version: store.columns.version[id] as number };
}

function keysOf(history: readonly Event[]): string[] {
  return [...new Set(history.map(({ key }) => key))];
}
