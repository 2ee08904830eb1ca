/**
 * Sends a change that was applied here to the others that ought to hold it, and tells when enough of them have. A node
 * that cannot be reached is replaced by the next in order of preference, its stand-in.
 */
import type { Clock } from "../mesh/clock.ts";
import type { Core } from "./core.ts";
import type { Frame } from "./frames.ts";
import type { AckLevel } from "./namespaces.ts";
import type { Waiter } from "./sender.ts";
import type { Change } from "./store/store.ts";
import { createTimeouts, type Timed, type Timeouts } from "./timeouts.ts";

/** Where nobody can be reached, all are tried again after so long. */
const RETRY_MS = 20;
/** A node that has not answered after so long gets a stand-in, even if it is thought to be well. */
const PATIENCE_MS = 300;
/** How long a write waits for its copies in all. */
export const COPIES_MS = 1000;

/** What all writes of a node wait with. */
export interface Waits {
  readonly patience: Timeouts;
  readonly rest: Timeouts;
}

/** Makes the waits of a node. */
export function createWaits(clock: Clock): Waits {
  return {
    patience: createTimeouts(clock, PATIENCE_MS),
    rest: createTimeouts(clock, COPIES_MS - PATIENCE_MS),
  };
}

/** Begins; `done` is called once with how many nodes have applied the change, this one included. */
export function copyToOthers(
  core: Core,
  waits: Waits,
  slot: number,
  change: Change,
  level: AckLevel,
  done: (copies: number) => void,
): void {
  new Copying(core, waits, slot, change, level, done).start();
}

/** A class, for there is one for each write. */
class Copying implements Waiter, Timed {
  readonly #core: Core;
  readonly #waits: Waits;
  readonly #level: AckLevel;
  readonly #done: (copies: number) => void;
  readonly #frame: Frame;
  readonly #seq: number;
  /** Nodes in order of preference, of which the first `#owners` are to hold the slot. */
  readonly #order: readonly string[];
  readonly #owners: number;
  /** Bits of those in `#order` that were asked, or are this node. */
  #asked = 0;
  /** Bits of those that could not be reached. */
  #unreached = 0;
  #isWaiting = false;
  #isPatient = true;
  #copies = 1;
  #isSettled = false;

  constructor(
    core: Core,
    waits: Waits,
    slot: number,
    change: Change,
    level: AckLevel,
    done: (copies: number) => void,
  ) {
    const ring = core.ring();
    this.#core = core;
    this.#waits = waits;
    this.#level = level;
    this.#done = done;
    this.#frame = { kind: "append", change, condition: undefined, isLive: true };
    this.#seq = core.store.seq;
    this.#order = ring.owners(slot);
    this.#owners = ring.replicas;
  }

  start(): void {
    const needed = this.#owners - 1;
    let reached = 0;
    // Every owner has to get it: a stand-in that writes is not the one that will send it to them later.
    for (let place = 0; place < this.#order.length; place++) {
      if (this.#order[place] === this.#core.self) this.#asked |= 1 << place;
      else if (place < this.#owners && this.#ask(place)) reached++;
    }
    for (; reached < needed; reached++) this.#askNext();
    if (this.#level === "one" || needed === 0) return this.#settle();
    if (!this.#isSettled) this.#waits.patience.add(this);
  }

  applied(): void {
    this.#copies++;
    if (this.#copies >= this.#owners) this.#settle();
  }

  refused(): void {
    this.#settle();
  }

  lost(): void {
    this.#askNext();
  }

  timedOut(): void {
    if (!this.#isPatient) return this.#settle();
    this.#isPatient = false;
    this.#waits.rest.add(this);
    this.#askNext();
  }

  /** Sends it to a node; false if that cannot be reached. An owner that cannot be gets it by a sweep later. */
  #ask(place: number): boolean {
    this.#asked |= 1 << place;
    const sender = this.#core.sender(this.#order[place] as string);
    if (sender?.isAvailable() === true) {
      sender.append(this.#frame, this.#seq, this);
      return true;
    }
    this.#unreached |= 1 << place;
    if (place < this.#owners) sender?.missed();
    return false;
  }

  /** Asks the first node that was not asked yet. */
  #askNext(): void {
    for (let place = 0; place < this.#order.length; place++) {
      if ((this.#asked & (1 << place)) === 0 && this.#ask(place)) return;
    }
    if (this.#level !== "two") this.#settle();
    else this.#askAgainLater();
  }

  /** A node that has just joined is primary already, but connects to the others only now. */
  #askAgainLater(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#core.clock.after(RETRY_MS, () => {
      this.#isWaiting = false;
      if (this.#isSettled) return;
      this.#asked &= ~this.#unreached;
      this.#unreached = 0;
      this.#askNext();
    });
  }

  #settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    (this.#isPatient ? this.#waits.patience : this.#waits.rest).remove(this);
    this.#done(this.#copies);
  }
}
