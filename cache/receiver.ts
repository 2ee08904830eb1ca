/** The receiving end of another node's stream: applies frames in order and says how far it has come. */
import { createAuditor } from "./auditing.ts";
import type { Core } from "./core.ts";
import type { Frame, Hello, Reply } from "./frames.ts";
import { slotOf } from "../mesh/cache/slots.ts";
import { isOwner, ownersOf } from "./ownership.ts";
import { isTombstone } from "./records.ts";
import { createSlotSet, hasSlot } from "./slot-set.ts";
import type { Change } from "./store/store.ts";

/** What a receiver needs beside the core. */
export interface ReceiverOptions {
  readonly core: Core;
  /** Who opened the stream. */
  readonly from: Hello;
  /** What this node says of itself. */
  hello(): Hello;
  send(reply: Reply): unknown;
  /** The other node holds an older entry than this one: send it what is here. */
  pushBack(node: string, key: Uint8Array): void;
  /** This node became warm for slots. */
  readonly onWarm: () => void;
}

/** The receiving end of a stream. */
export interface Receiver {
  frame(frame: Frame): void;
  /** Says how far it has come. Once for all frames of a message. */
  acknowledge(): void;
}

/** Begins to receive. The caller has checked that `from` may speak. */
export function createReceiver(options: ReceiverOptions): Receiver {
  const { core, from } = options;
  const send = (reply: Reply) => options.send(reply);
  const auditor = createAuditor(core);
  let applied = 0;
  let refused: number[] = [];

  for (const clock of from.tagClocks) core.tags.apply(clock);
  core.tags.raiseFloor(from.tagFloor);
  core.versions.hear(from.version);
  send({ kind: "hello", hello: options.hello() });

  function append(frame: Extract<Frame, { kind: "append" }>): boolean {
    const { change, condition } = frame;
    const space = core.namespaces.of(change.key)?.space;
    if (space === undefined) return false;
    if (!core.versions.hear(change.version)) {
      core.counts.fromFuture++;
      return false;
    }
    if (condition !== undefined && presentVersion(core, change.key) > condition) {
      options.pushBack(from.node, change.key);
      return false;
    }
    const applied = core.applyHere({ ...change, space });
    if (frame.isLive && applied === "applied") passOn(change.key);
    if (applied === "applied" || (applied === "older" && !frame.isLive)) return true;
    // A sweep may have brought this very write before. Else the writer gave it too low a version, or another write won:
    // it must not count this copy.
    return applied === "older" && isPresent(core, change);
  }

  /** Who stands in for an owner sees to it that the owner gets it, even if the writer dies. */
  function passOn(key: Uint8Array): void {
    const ring = core.ring();
    const slot = slotOf(key);
    if (isOwner(ring, slot, core.self)) return;
    for (const owner of ownersOf(ring, slot)) if (owner !== from.node) core.sender(owner)?.missed();
  }

  /** Both sides send all that they hold, and the greatest versions stay. */
  function repair(slots: readonly number[]): void {
    if (slots.length === 0) return;
    core.counts.auditAlarms += slots.length;
    const bits = createSlotSet();
    for (const slot of slots) bits.set(slot, true);
    send({ kind: "differs", slots: bits.bits });
    core.sender(from.node)?.fill(slots);
  }

  function becomeWarm(slots: Uint8Array): void {
    let hasChanged = false;
    const ring = core.ring();
    for (let slot = 0; slot < slots.length * 8; slot++) {
      if (!isOwner(ring, slot, core.self) || !hasSlot(slots, slot)) continue;
      hasChanged = core.warm.set(slot, true) || hasChanged;
    }
    if (hasChanged) options.onWarm();
  }

  return {
    frame(frame) {
      applied++;
      if (frame.kind === "append") {
        if (!append(frame)) refused.push(applied);
      } else if (frame.kind === "tag") {
        const version = frame.raise
          ? Math.max(frame.clock.version, core.versions.next())
          : frame.clock.version;
        core.versions.hear(version);
        core.tags.apply({ ...frame.clock, version });
        send({ kind: "raised", clock: { ...frame.clock, version } });
      } else if (frame.kind === "swept") {
        becomeWarm(frame.slots);
      } else if (frame.kind === "audit") {
        repair(auditor.differing(frame));
      }
    },
    acknowledge() {
      send({ kind: "applied", upTo: applied, refused });
      refused = [];
    },
  };
}

function isPresent({ store }: Core, { key, value, version }: Omit<Change, "space">): boolean {
  const id = store.find(key);
  if (id === -1 || store.columns.version[id] !== version) return false;
  if (value === undefined || isTombstone(store, id)) return value === undefined && isTombstone(store, id);
  return Buffer.compare(store.arena.valueAt(store.columns.address[id] as number), value) === 0;
}

function presentVersion(core: Core, key: Uint8Array): number {
  const id = core.store.find(key);
  return id === -1 ? 0 : (core.store.columns.version[id] as number);
}
