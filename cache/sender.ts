/**
 * One node's stream to another: what the other ought to hold goes out at once while the stream is up and has credit,
 * and by a sweep over the store after it was not. The store itself is the log, so nothing is ever queued without bound.
 */
import type { Clock } from "../mesh/clock.ts";
import { SLOT_COUNT } from "../mesh/cache/slots.ts";
import {
  frameBytes,
  type Frame,
  type Hello,
  type Link,
  type Reply,
  type RingFrame,
  type TagClock,
  type Transport,
} from "./frames.ts";
import { createSlotSet, hasSlot } from "./slot-set.ts";
import { Flag } from "./store/columns.ts";
import type { Store } from "./store/store.ts";
import { appendOf } from "./records.ts";

/** Hears what became of a frame, exactly once. */
export interface Waiter {
  applied(): void;
  /** The other node did not want it. */
  refused(): void;
  /** The stream was lost: it may be applied or not. */
  lost(): void;
}

/** The stream to one other node. */
export interface Sender {
  readonly node: string;
  /** Digest of the ring that the other node goes by, as of its last answer; undefined while there is no stream. */
  readonly ringDigest: string | undefined;
  /** The slots that the other node said it is warm for; undefined while there is no stream. */
  readonly warm: Uint8Array | undefined;
  /** The boot id of the last answer. */
  readonly bootId: string | undefined;
  readonly unackedFrames: number;
  readonly unackedBytes: number;
  /** For how long the oldest of them has waited; 0 if there is none. */
  readonly lagMs: number;
  /** What is left to send besides changes as they happen. */
  readonly repair: Repair;
  /** Whether it takes frames now and has answered lately. */
  isAvailable(): boolean;
  /** Whether the other node holds all that it ought to, as far as this node knows. */
  isSynced(): boolean;
  /** Whether it answers, and all that it ought to hold has been sent to it. */
  isComplete(): boolean;
  /** Whether it has applied the change with this count. */
  hasApplied(seq: number): boolean;
  /** Sends a change that has just been applied here. */
  append(frame: Frame, seq: number, waiter?: Waiter): void;
  /** Sends something that is no change. */
  notify(frame: Frame, waiter?: Waiter): void;
  /** The other node did not get a change that it ought to hold: sweep when it can be reached. */
  missed(): void;
  /** The other node ought to hold these slots, whatever it got before. */
  fill(slots: readonly number[]): void;
  /** This node is warm for more slots: the other one is, too, as far as it has everything. */
  announceWarm(): void;
  close(): void;
}

/** What one node still has to send to another that lacks something. */
export interface Repair {
  /** Slots that are sent whole, by the sweep that runs or the next one. */
  readonly slots: number;
  /** Entries that the sweep that runs has not looked at yet. */
  readonly entries: number;
}

/** Surroundings of a sender. */
export interface SenderOptions {
  readonly node: string;
  readonly transport: Transport;
  readonly store: Store;
  readonly clock: Clock;
  hello(): Hello;
  /** Whether the other node ought to hold this slot. */
  belongs(slot: number): boolean;
  /** Slots that this node is warm for. */
  ownWarm(): Uint8Array;
  /** The other node has answered Hello. */
  onHello(hello: Hello): void;
  onRing(ring: RingFrame): void;
  onRaised(clock: TagClock): void;
  /** The other node answers again after more than `maxAbsenceMs` without a stream, and before anything is sent to it. */
  onLongAbsence(): void;
  readonly maxAbsenceMs: number;
}

interface Unacked {
  readonly number: number;
  readonly bytes: number;
  readonly seq: number;
  readonly sentAt: number;
  readonly waiter: Waiter | undefined;
}

interface Sweep {
  /** Changes after this are sent, and all of the slots in `full`. */
  readonly since: number;
  /** The count when it began: what came later was sent as it came. */
  readonly upTo: number;
  readonly full: Uint8Array;
  /** Next id to look at; entries that were used go first. */
  at: number;
  /** Number of its last frame, once that is sent. */
  last: number | undefined;
}

const CREDIT_BYTES = 8 * 1024 * 1024;
/** A sweep keeps less in flight, so that changes do not wait behind it. */
const SWEEP_CREDIT_BYTES = 1024 * 1024;
/** Entries looked at in one turn, and for how long: callers wait meanwhile. */
const SWEEP_STEP = 20_000;
const SWEEP_TURN_MS = 2;
const UNRESPONSIVE_MS = 1000;
const RECONNECT_MS = 200;
/** A sweep begins so long after something was missed. */
const MISSED_MS = 100;

/** Opens the stream and keeps it open until closed. */
export function createSender(options: SenderOptions): Sender {
  const { node, transport, store, clock } = options;
  let link: Link | undefined;
  let peer: Hello | undefined;
  let ringDigest: string | undefined;
  let warm: Uint8Array | undefined;
  let bootId: string | undefined;
  let sent = 0;
  let unacked: Unacked[] = [];
  let unackedBytes = 0;
  let synced = 0;
  let isBehind = true;
  let full = createSlotSet();
  let sweep: Sweep | undefined;
  let isContinuing = false;
  let closed = false;
  let lostAt = clock.monotonic();
  let cancelTimer = () => {};

  function open(): void {
    const own: Link = transport.open(node, options.hello(), {
      reply: (reply) => link === own && onReply(reply),
      lost: () => link === own && onLost(),
    });
    link = own;
  }

  function onLost(): void {
    if (peer !== undefined) lostAt = clock.monotonic();
    link = undefined;
    peer = undefined;
    ringDigest = undefined;
    warm = undefined;
    isBehind = true;
    if (sweep !== undefined) for (const slot of slotsOf(sweep.full)) full.set(slot, true);
    sweep = undefined;
    sent = 0;
    const lost = unacked;
    unacked = [];
    unackedBytes = 0;
    if (!closed) cancelTimer = clock.after(RECONNECT_MS, open);
    for (const { waiter } of lost) waiter?.lost();
  }

  function onReply(reply: Reply): void {
    switch (reply.kind) {
      case "hello":
        return onHello(reply.hello);
      case "applied":
        return onApplied(reply.upTo, reply.refused);
      case "raised":
        return options.onRaised(reply.clock);
      case "differs":
        return fill(slotsOf(reply.slots));
      case "ring":
        ringDigest = reply.digest;
        warm = reply.warm;
        options.onRing(reply);
        return announceWarm();
    }
  }

  function onHello(hello: Hello): void {
    // One that has started anew has lost what it acknowledged.
    if (bootId !== hello.bootId) synced = 0;
    bootId = hello.bootId;
    ringDigest = hello.ringDigest;
    warm = hello.warm;
    peer = hello;
    if (clock.monotonic() - lostAt > options.maxAbsenceMs) options.onLongAbsence();
    options.onHello(hello);
    if (link !== undefined) startSweep();
  }

  function onApplied(upTo: number, refused: readonly number[]): void {
    let done = 0;
    while (done < unacked.length && (unacked[done] as Unacked).number <= upTo) done++;
    const acked = unacked.splice(0, done);
    for (const { bytes } of acked) unackedBytes -= bytes;
    if (sweep?.last !== undefined && sweep.last <= upTo) {
      synced = Math.max(synced, sweep.upTo);
      sweep = undefined;
      // The other one may have changed its ring since it was told.
      announceWarm();
    }
    advanceSynced();
    const isRefused = new Set(refused);
    for (const { number, waiter } of acked) {
      if (isRefused.has(number)) waiter?.refused();
      else waiter?.applied();
    }
    if (sweep !== undefined) continueLater();
    else if (isBehind || full.size > 0) startSweep();
  }

  /** While nothing was dropped, all that is not unacknowledged is applied there. */
  function advanceSynced(): void {
    if (isBehind || sweep !== undefined) return;
    const first = unacked.find(({ seq }) => seq > 0);
    synced = Math.max(synced, first === undefined ? store.seq : first.seq - 1);
  }

  function startSweep(): void {
    if (sweep !== undefined || peer === undefined) return;
    sweep = { since: synced, upTo: store.seq, full: full.bits.slice(), at: 0, last: undefined };
    full = createSlotSet();
    isBehind = false;
    continueLater();
  }

  /** Not at once: what began the sweep may have taken its time already. */
  function continueLater(): void {
    if (isContinuing) return;
    isContinuing = true;
    clock.after(0, () => {
      isContinuing = false;
      if (sweep !== undefined) continueSweep(sweep);
    });
  }

  function continueSweep(current: Sweep): void {
    if (current.last !== undefined) return;
    const { flags, slot, seq } = store.columns;
    const end = Math.min(store.highWater, current.at + SWEEP_STEP);
    const turnEnds = clock.monotonic() + SWEEP_TURN_MS;
    while (current.at < end && unackedBytes < SWEEP_CREDIT_BYTES) {
      if (current.at % 32 === 31 && clock.monotonic() > turnEnds) break;
      const id = current.at++;
      const idSlot = slot[id] as number;
      if (((flags[id] as number) & Flag.live) === 0) continue;
      if (!hasSlot(current.full, idSlot) && (seq[id] as number) <= current.since) continue;
      if (options.belongs(idSlot)) push(appendOf(store, id), 0, undefined);
    }
    if (current.at >= store.highWater) {
      push({ kind: "swept", slots: options.ownWarm().slice() }, 0, undefined);
      current.last = sent;
    } else if (unackedBytes < SWEEP_CREDIT_BYTES) {
      continueLater();
    }
  }

  function fill(slots: readonly number[]): void {
    for (const slot of slots) full.set(slot, true);
    if (isUp()) startSweep();
  }

  /** Says again what this node is warm for, if the other one has everything and has not drawn the conclusion yet. */
  function announceWarm(): void {
    // A sweep that runs says it at its end.
    if (!isComplete() || warm === undefined) return;
    const own = options.ownWarm();
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (!hasSlot(own, slot) || hasSlot(warm, slot) || !options.belongs(slot)) continue;
      return push({ kind: "swept", slots: own.slice() }, 0, undefined);
    }
  }

  function push(frame: Frame, seq: number, waiter: Waiter | undefined): void {
    const bytes = frameBytes(frame);
    unacked.push({ number: ++sent, bytes, seq, sentAt: clock.monotonic(), waiter });
    unackedBytes += bytes;
    link?.send(frame);
  }

  const isUp = () => link !== undefined && peer !== undefined;
  const lagMs = () => {
    const first = unacked[0];
    return first === undefined ? 0 : clock.monotonic() - first.sentAt;
  };
  const isComplete = () => isUp() && !isBehind && full.size === 0 && sweep === undefined;
  open();

  return {
    node,
    get ringDigest() {
      return ringDigest;
    },
    get warm() {
      return warm;
    },
    get bootId() {
      return bootId;
    },
    get unackedFrames() {
      return unacked.length;
    },
    get unackedBytes() {
      return unackedBytes;
    },
    get lagMs() {
      return lagMs();
    },
    get repair() {
      const sweeping = sweep === undefined ? 0 : createSlotSet(sweep.full).size;
      return {
        slots: full.size + sweeping,
        entries: sweep === undefined ? 0 : store.highWater - sweep.at,
      };
    },
    isAvailable: () => isUp() && unackedBytes < CREDIT_BYTES && lagMs() < UNRESPONSIVE_MS,
    isSynced: () => isComplete() && unacked.length === 0,
    isComplete,
    hasApplied: (seq) => isComplete() && synced >= seq,
    append(frame, seq, waiter) {
      if (!isUp() || unackedBytes >= CREDIT_BYTES) {
        isBehind = true;
        return waiter?.lost();
      }
      push(frame, seq, waiter);
    },
    notify(frame, waiter) {
      if (!isUp()) return waiter?.lost();
      push(frame, 0, waiter);
    },
    missed() {
      if (isBehind) return;
      isBehind = true;
      // Not at once: while it cannot take more, a sweep is of no use, and more may be missed.
      clock.after(MISSED_MS, () => isBehind && unackedBytes < CREDIT_BYTES && startSweep());
    },
    announceWarm,
    fill,
    close() {
      closed = true;
      cancelTimer();
      const open = link;
      onLost();
      cancelTimer();
      open?.close();
    },
  };
}

function slotsOf(bits: Uint8Array): number[] {
  return Array.from({ length: SLOT_COUNT }, (_, slot) => slot).filter((slot) => hasSlot(bits, slot));
}
