/**
 * A cluster in one process, in virtual time: nodes, their clocks and the network between them are driven by one queue of
 * events, so that a schedule of faults is replayed exactly from its seed.
 */
import { createRing, type Ring } from "../../mesh/cache/ring.ts";
import { Unreachable, type Connection } from "../../mesh/cache/route.ts";
import { seededRandom, type Clock, type Random } from "../../mesh/clock.ts";
import type { Frame, Inbound, Link, Reply, Transport } from "../frames.ts";
import { createCacheNode, type CacheNode } from "../node.ts";
import { once } from "../once.ts";

/** A fault of the program that a checker must find. */
export interface Mutations {
  /** Frames that are acknowledged but not applied. */
  readonly swallow?: (frame: Frame, random: Random) => boolean;
  /** What is sent over a cut link is acknowledged all the same, and by nodes that seem to go by the sender's ring. */
  readonly lying?: boolean;
  /** Clients read at the primary or a replica, as chance will have it. */
  readonly readReplica?: boolean;
  /** Clients believe a node that is not filled yet when it lacks a key. */
  readonly hasty?: boolean;
}

/** The cluster. */
export interface World {
  readonly random: Random;
  readonly ids: readonly string[];
  now(): number;
  /** Runs `callback` after `delayMs` of virtual time. */
  after(delayMs: number, callback: () => void): () => void;
  /** Lets virtual time pass. */
  run(untilMs: number): void;
  node(id: string): CacheNode | undefined;
  /** The ring that the registry gives out now. */
  ring(): Ring;
  start(id: string): void;
  /** The process is gone, with all that it held. */
  kill(id: string): void;
  /** The process stands still, but keeps everything. */
  pause(id: string): void;
  resume(id: string): void;
  /** The network between two nodes, or a node and `registry` or `client`, is cut or healed. */
  cut(a: string, b: string, isCut: boolean): void;
  /** Gives out a ring of these members to all that the registry reaches. */
  publish(members: readonly string[]): void;
  /** The clock of clients. */
  readonly clientClock: Clock;
  /** A node as a client reaches it: no answer comes from one that is paused or cut off, and none but an error from a dead one. */
  readonly connectionTo: (id: string) => Connection;
}

interface Event {
  readonly at: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

interface Process {
  readonly node: CacheNode;
  isAlive: boolean;
  isPaused: boolean;
  readonly waiting: (() => void)[];
  readonly outbound: Set<{ readonly to: string; readonly lose: () => void }>;
  /** Loses what clients wait for. */
  readonly asked: Set<() => void>;
}

const rings = new Map<string, Ring>();
const MIN_DELAY_MS = 1;
const SPREAD_MS = 8;
/** A cut stream is noticed after this long. */
const NOTICE_MS = 400;

/** Makes a cluster of nodes that are not started. */
export function createWorld(seed: number, ids: readonly string[], mutations: Mutations = {}): World {
  const random = seededRandom(seed);
  const queue = createQueue();
  const processes = new Map<string, Process>();
  const cuts = new Set<string>();
  const offsets = new Map(ids.map((id) => [id, Math.round((random() - 0.5) * 400)]));
  let ring = ringOf([]);
  let boots = 0;

  const pair = (a: string, b: string) => (a < b ? `${a}|${b}` : `${b}|${a}`);
  const isCut = (a: string, b: string) => cuts.has(pair(a, b));
  const linkSpreadMs = SPREAD_MS * (1 + 6 * random());
  const delay = () => MIN_DELAY_MS + random() * SPREAD_MS;

  /** Runs for a process: not if it is dead, later if it is paused. */
  function within(process: Process, callback: () => void): void {
    if (!process.isAlive) return;
    if (process.isPaused) process.waiting.push(callback);
    else callback();
  }

  function clockOf(id: string, current: () => Process | undefined): Clock {
    return {
      now: () => START_MS + queue.now() + (offsets.get(id) ?? 0),
      monotonic: () => queue.now(),
      after(delayMs, callback) {
        let isCancelled = false;
        const cancel = queue.after(delayMs, () => {
          const process = current();
          if (process !== undefined) within(process, () => !isCancelled && callback());
        });
        return () => {
          isCancelled = true;
          cancel();
        };
      },
    };
  }

  /** A stream in order, in both directions; it is lost as a whole. */
  function transportOf(id: string, current: () => Process | undefined): Transport {
    return {
      open(to, hello, events) {
        const from = current();
        let isOpen = true;
        let inbound: Inbound | undefined;
        let there: Process | undefined;
        const ways = { out: 0, back: 0 };
        const lose = () => {
          if (!isOpen) return;
          isOpen = false;
          entry.lose = () => {};
          const opener = current();
          if (opener !== undefined) within(opener, () => events.lost());
          if (there !== undefined && inbound !== undefined) within(there, () => inbound?.lost());
        };
        const entry = { to, lose };
        from?.outbound.add(entry);
        const travel = (way: "out" | "back", deliver: () => void) => {
          // In order: nothing overtakes what was sent before.
          ways[way] = Math.max(ways[way] + 0.001, queue.now() + MIN_DELAY_MS + random() * linkSpreadMs);
          queue.after(ways[way] - queue.now(), () => {
            if (!isOpen) return;
            if (!isCut(id, to)) deliver();
            else if (mutations.lying !== true) queue.after(NOTICE_MS, lose);
          });
        };
        let sent = 0;
        const lie = () => {
          const opener = current();
          const reply: Reply = { kind: "applied", upTo: sent, refused: [] };
          if (opener !== undefined) within(opener, () => isOpen && events.reply(reply));
        };
        const back = (reply: Reply) =>
          travel("back", () => {
            const opener = current();
            if (opener !== undefined) within(opener, () => isOpen && events.reply(forge(reply, opener)));
          });
        travel("out", () => {
          there = processes.get(to);
          if (there === undefined || !there.isAlive) return lose();
          const process = there;
          within(process, () => {
            inbound = process.node.accept(hello, { send: back, close: lose });
            if (inbound === undefined) queue.after(NOTICE_MS, lose);
          });
        });
        const link: Link = {
          send(frame) {
            sent++;
            if (mutations.lying === true && isCut(id, to)) queue.after(delay(), lie);
            travel("out", () => {
              const process = there;
              if (process === undefined || !process.isAlive) return lose();
              within(process, () => {
                inbound?.frame(mutate(frame));
                inbound?.acknowledge();
              });
            });
          },
          close: () => {
            if (!isOpen) return;
            isOpen = false;
            if (there !== undefined) within(there, () => inbound?.lost());
          },
        };
        return link;
      },
    };
  }

  function mutate(frame: Frame): Frame {
    if (mutations.swallow?.(frame, random) === true)
      return { kind: "ring", digest: "", warm: new Uint8Array(0) };
    return frame;
  }

  function forge(reply: Reply, opener: Process): Reply {
    if (mutations.lying !== true) return reply;
    const { digest } = opener.node.core.ring();
    if (reply.kind === "ring") return { ...reply, digest };
    return reply.kind === "hello" ? { ...reply, hello: { ...reply.hello, ringDigest: digest } } : reply;
  }

  function tellRing(id: string): void {
    const process = processes.get(id);
    if (process === undefined || isCut(id, "registry")) return;
    const told = ring;
    queue.after(delay() * 5, () => {
      if (!isCut(id, "registry") && told === ring) within(process, () => process.node.setRing(told));
    });
  }

  const world: World = {
    random,
    ids,
    now: () => queue.now(),
    after: (delayMs, callback) => queue.after(delayMs, callback),
    run: (untilMs) => queue.run(untilMs),
    node: (id) => processes.get(id)?.node,
    ring: () => ring,
    start(id) {
      let process: Process | undefined;
      const current = () => process;
      const node = createCacheNode({
        id,
        newBootId: () => `${id}/${++boots}`,
        maxBytes: 1024 * 1024,
        namespaces: [{ name: "n", ack: "two", maxBytes: 0 }],
        clock: clockOf(id, current),
        random,
        transport: transportOf(id, current),
      });
      process = { node, isAlive: true, isPaused: false, waiting: [], outbound: new Set(), asked: new Set() };
      processes.set(id, process);
      tellRing(id);
    },
    kill(id) {
      const process = processes.get(id);
      if (process === undefined) return;
      process.isAlive = false;
      processes.delete(id);
      for (const { lose } of process.outbound) queue.after(delay(), lose);
      for (const lose of process.asked) queue.after(delay(), lose);
      for (const other of processes.values()) {
        for (const entry of other.outbound) if (entry.to === id) queue.after(delay(), entry.lose);
      }
    },
    pause(id) {
      const process = processes.get(id);
      if (process !== undefined) process.isPaused = true;
    },
    resume(id) {
      const process = processes.get(id);
      if (process === undefined) return;
      process.isPaused = false;
      for (const callback of process.waiting.splice(0)) within(process, callback);
    },
    cut(a, b, isCutNow) {
      if (isCutNow) cuts.add(pair(a, b));
      else cuts.delete(pair(a, b));
      if (!isCutNow && b === "registry") tellRing(a);
      if (!isCutNow) return;
      for (const [one, other] of [
        [a, b],
        [b, a],
      ] as const) {
        for (const entry of processes.get(one)?.outbound ?? []) {
          if (entry.to === other)
            queue.after(NOTICE_MS, () => isCut(a, b) && mutations.lying !== true && entry.lose());
        }
      }
    },
    publish(members) {
      ring = ringOf(members);
      for (const id of processes.keys()) tellRing(id);
    },
    clientClock: {
      now: () => START_MS + queue.now(),
      monotonic: () => queue.now(),
      after: (delayMs, callback) => queue.after(delayMs, callback),
    },
    connectionTo: (id) => ({
      send(op, timeoutMs, receiver) {
        const sent = { ...op };
        const settle = once((end: () => void) => {
          cancel();
          end();
        });
        const fail = (maybeExecuted: boolean, isSilent: boolean) =>
          settle(() =>
            receiver.unreachable(new Unreachable(`no answer from ${id}`, { maybeExecuted, isSilent })),
          );
        const cancel = queue.after(timeoutMs, () => fail(true, true));
        queue.after(delay(), () => {
          if (isCut(id, "client")) return;
          const process = processes.get(id);
          if (process === undefined) return void queue.after(delay(), () => fail(false, false));
          const lose = () => fail(true, false);
          process.asked.add(lose);
          within(process, () =>
            process.node.execute(sent, (result) => {
              const copy = { ...result, value: Buffer.from(result.value) };
              process.asked.delete(lose);
              queue.after(delay(), () => !isCut(id, "client") && settle(() => receiver.answered(copy)));
            }),
          );
        });
      },
    }),
  };
  return world;
}

/** When virtual time begins, by the wall clock. */
const START_MS = Date.UTC(2026, 0, 1);

/** Rings are pure and dear: one for each set of members. */
function ringOf(members: readonly string[]): Ring {
  const name = members.toSorted().join(",");
  const known =
    rings.get(name) ??
    createRing(
      members.map((id) => ({ id, zone: "", weight: 1 })),
      2,
    );
  rings.set(name, known);
  return known;
}

/** Events by time, as a binary heap; equal times in the order of their making. */
function createQueue() {
  const heap: Event[] = [];
  let now = 0;
  let orders = 0;
  const before = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order);

  function push(event: Event): void {
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent] as Event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  function pop(): Event {
    const top = heap[0] as Event;
    const last = heap.pop() as Event;
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (!before(heap[child] as Event, last)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
    return top;
  }

  return {
    now: () => now,
    after(delayMs: number, callback: () => void) {
      const event: Event = { at: now + Math.max(0, delayMs), order: orders++, callback };
      push(event);
      return () => {
        event.callback = undefined;
      };
    },
    run(untilMs: number) {
      while (heap.length > 0 && (heap[0] as Event).at <= untilMs) {
        const event = pop();
        now = event.at;
        event.callback?.();
      }
      now = untilMs;
    },
  };
}
