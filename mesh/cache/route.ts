/**
 * One operation on its way through the tier: it is tried at the nodes that own its key, and at those that stand in for
 * them, until one answers. Says MISS only when every node that is alive and may hold the key has said so.
 */
import { OperationKind, Status } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import type { Clock } from "../clock.ts";
import { result, type Operation, type Result } from "./session-codec.ts";

/** A node that operations can be sent to. */
export interface Connection {
  /**
   * Sends an operation, and tells the receiver once what became of it, at the latest after `timeoutMs`. Writes the
   * operation's id; the operation may be changed as soon as this returns.
   */
  send(op: Operation, timeoutMs: number, receiver: Receiver): void;
}

/** Who waits for an answer. Views in the answer stay valid. */
export interface Receiver {
  answered(answer: Result): void;
  unreachable(error: Unreachable): void;
  /** There is no answer yet, and most would have had one. Called once at most. */
  late?(): void;
}

/** Why a node gave no answer. */
export class Unreachable extends Error {
  /** Whether the operation may have been executed. */
  readonly maybeExecuted: boolean;
  /** Whether the node may be alive, and hold what it was asked for: it took the operation, and said nothing in time. */
  readonly isSilent: boolean;

  constructor(message: string, state: { readonly maybeExecuted: boolean; readonly isSilent?: boolean }) {
    super(message);
    this.maybeExecuted = state.maybeExecuted;
    this.isSilent = state.isSilent ?? false;
  }
}

/** What a route goes through. */
export interface Surroundings {
  readonly clock: Clock;
  connectionTo(address: string): Connection;
  /** What a second node may be asked, since this operation is late; undefined if none may. */
  hedge?(op: Operation): Operation | undefined;
}

/** Hears the answer, and which node gave it; undefined for none. */
export type Done = (answer: Result, node: string | undefined) => void;

/** A read is tried at the next node after this long without an answer. */
const READ_ATTEMPT_MS = 100;
/** A write waits up to a second for its copies; a node that says nothing by then is gone. */
const WRITE_ATTEMPT_MS = 1200;
/** How often an operation follows NOT_OWNER: rings differ for moments only, but a moment may be half a second. */
const MAX_REDIRECTS = 20;
/** From the second time on it waits so long, times the number of redirects. */
const REDIRECT_DELAY_MS = 5;

/** Begins at `owners`, addresses in order of preference; `done` is called once, at the latest `timeoutMs` later. */
export function startRoute(
  around: Surroundings,
  op: Operation,
  owners: readonly string[],
  timeoutMs: number,
  done: Done,
): void {
  new Route(around, op, owners, timeoutMs, done).next();
}

/** A class, for there is one for each operation, and closures would cost more than all the rest of the way. */
class Route implements Receiver {
  readonly #around: Surroundings;
  readonly #op: Operation;
  readonly #done: Done;
  readonly #dueAt: number;
  #nodes: readonly string[];
  #at = 0;
  #redirects = 0;
  /** The first node that owns the key and has not been filled yet. */
  #coldest: string | undefined;
  #isAskedCold = false;
  /** Nodes that took the operation, and said nothing so far: they may hold what the others lack. */
  #silent: Set<string> | undefined;
  #isDone = false;
  #problem = "no cache node is known";

  constructor(around: Surroundings, op: Operation, owners: readonly string[], timeoutMs: number, done: Done) {
    this.#around = around;
    this.#op = op;
    this.#nodes = owners;
    this.#dueAt = around.clock.monotonic() + timeoutMs;
    this.#done = done;
  }

  /** Asks the next node. */
  next(): void {
    if (this.#isDone) return;
    const address = this.#nodes[this.#at++];
    const remainingMs = this.#dueAt - this.#around.clock.monotonic();
    if (remainingMs <= 0) return this.#fail();
    if (address === undefined) return this.#askCold(remainingMs);
    const op = this.#op;
    const attemptMs = this.#at < this.#nodes.length ? Math.min(remainingMs, attemptLimitMs(op)) : remainingMs;
    // A write that waits in a node which stands still must not happen once it was given to another one.
    op.deadline = op.kind === OperationKind.GET ? 0 : Math.ceil(this.#around.clock.now() + attemptMs);
    this.#around.connectionTo(address).send(op, attemptMs, this);
  }

  answered(answer: Result): void {
    this.#silent?.delete(this.#nodes[this.#at - 1] as string);
    switch (answer.status) {
      case Status.WARMING:
        // Owners that are not among the nodes: the ring that this began with is not that of the nodes.
        if (!answer.owners.every((owner) => this.#nodes.includes(owner)))
          return this.#redirect(answer.owners);
        this.#coldest ??= this.#nodes[this.#at - 1];
        this.#problem = "the nodes that own the key are being filled";
        return this.#askStandIn();
      case Status.NOT_FRESH:
        this.#problem = "no copy is as fresh as asked";
        return this.#askStandIn();
      case Status.NOT_OWNER:
        return this.#redirect(answer.owners);
      default:
        this.#finish(answer, this.#isAskedCold ? this.#coldest : this.#nodes[this.#at - 1]);
    }
  }

  /** Asks the next node as well. It may answer with a value, but not decide that there is none, or who loads it. */
  late(): void {
    const address = this.#nodes[this.#at];
    const op = this.#op;
    if (this.#isDone || this.#at !== 1 || address === undefined) return;
    const hedge = this.#around.hedge?.(op);
    if (hedge === undefined) return;
    this.#around.connectionTo(address).send(hedge, attemptLimitMs(hedge), {
      answered: (answer) => {
        const isValue = answer.status === Status.OK || (answer.status === Status.STALE && op.stale);
        if (isValue) this.#finish(answer, address);
      },
      unreachable: () => {},
    });
  }

  unreachable(error: Unreachable): void {
    this.#problem = error.message;
    if (error.isSilent) (this.#silent ??= new Set()).add(this.#nodes[this.#at - 1] as string);
    if (this.#isAskedCold || (isConditional(this.#op) && error.maybeExecuted)) return this.#fail();
    this.#askStandIn();
  }

  /** The nodes so far could not answer: those that do not own the key may. */
  #askStandIn(): void {
    this.#op.standIn = true;
    this.next();
  }

  #redirect(owners: readonly string[]): void {
    this.#problem = "the nodes do not agree on who owns the key";
    if (this.#redirects++ >= MAX_REDIRECTS || this.#isAskedCold) return this.#fail();
    this.#nodes = owners;
    this.#at = 0;
    this.#op.standIn = false;
    if (this.#redirects === 1) return this.next();
    this.#around.clock.after(REDIRECT_DELAY_MS * this.#redirects, () => this.next());
  }

  /** Nobody else has it either: a node that owns the key may say so, though it is not filled yet. */
  #askCold(remainingMs: number): void {
    if (this.#isAnySilent() && this.#op.kind === OperationKind.GET && !this.#isAskedCold)
      return this.#askAgain();
    if (this.#coldest === undefined || this.#isAnySilent() || this.#isAskedCold) return this.#fail();
    this.#isAskedCold = true;
    this.#op.cold = true;
    this.#op.standIn = true;
    this.#around.connectionTo(this.#coldest).send(this.#op, remainingMs, this);
  }

  #isAnySilent(): boolean {
    return this.#silent !== undefined && this.#silent.size > 0;
  }

  /** A node that held the key may only have been held up: there is time left to ask it again. */
  #askAgain(): void {
    this.#at = 0;
    this.#coldest = undefined;
    this.#op.standIn = false;
    this.#around.clock.after(REDIRECT_DELAY_MS, () => this.next());
  }

  #fail(): void {
    this.#finish(result({ status: Status.UNAVAILABLE, message: this.#problem }), undefined);
  }

  #finish(answer: Result, node: string | undefined): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#done(answer, node);
  }
}

function attemptLimitMs(op: Operation): number {
  return op.kind === OperationKind.GET ? READ_ATTEMPT_MS + op.waitMs : WRITE_ATTEMPT_MS;
}

/** Whether executing it twice differs from executing it once. */
function isConditional(op: Operation): boolean {
  return op.ifAbsent || op.ifVersion !== 0 || op.leaseToken !== 0;
}
