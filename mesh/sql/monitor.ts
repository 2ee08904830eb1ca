/**
 * Keeps asking every member of the group what it sees, and tells who may be written and read as soon as that changes.
 * It begins with the seeds and finds the others from them; nobody configures roles.
 */
import { sleep, systemClock, type Clock } from "../clock.ts";
import { detached } from "../rpc/context.ts";
import { askOverConnection, type Ask } from "./ask.ts";
import type { Account } from "./connection.ts";
import { Poller } from "./poller.ts";
import {
  decideTopology,
  type MemberRow,
  type Problem,
  type Topology,
  type TopologyLimits,
  type View,
} from "./topology.ts";

/** What a monitor needs. */
export interface MonitorOptions extends TopologyLimits {
  /** Members to begin with, `host:port`. */
  readonly seeds: readonly string[];
  readonly account: Account;
  /** Between two questions to a member. Default 250 ms. */
  readonly pollMs?: number;
  /** The same while nobody may be written. Default 50 ms. */
  readonly urgentPollMs?: number;
  /** A member that has not answered after this twice in a row is not used. Default 400 ms. */
  readonly deadlineMs?: number;
  readonly clock?: Clock;
  /** Asks one member; for tests. Default: over a connection of its own. */
  readonly ask?: Ask;
}

/** Knows the group. */
export interface Monitor {
  /** The group as known now. */
  readonly topology: Topology;
  /** Calls `listener` after each change, until the function it returns is called. */
  watch(listener: (topology: Topology) => void): () => void;
  /** Does not use a member until it has been asked again, which happens at once. */
  suspect(address: string, problem: string): void;
  /** Asks a member now, apart from its turn, and tells whether it answered within `timeoutMs`. */
  answers(address: string, timeoutMs: number): Promise<boolean>;
  /** Asks all members now. Resolves when all have answered, at the latest after `timeoutMs`. */
  refresh(timeoutMs: number): Promise<void>;
  /** Resolves once each seed was asked once. */
  readonly ready: Promise<void>;
  close(): void;
}

/** Starts to ask. */
export function createMonitor(options: MonitorOptions): Monitor {
  return detached(() => new GroupMonitor(options));
}

class GroupMonitor implements Monitor {
  readonly ready: Promise<void>;
  readonly #options: Required<Omit<MonitorOptions, "ask" | "maxApplierQueue">> & MonitorOptions;
  readonly #reports = new Map<string, View | Problem>();
  readonly #members = new Map<string, Poller>();
  readonly #listeners = new Set<(topology: Topology) => void>();
  #topology: Topology = decideTopology(new Map());
  #closed = false;

  constructor(options: MonitorOptions) {
    this.#options = { pollMs: 250, urgentPollMs: 50, deadlineMs: 400, clock: systemClock, ...options };
    this.ready = Promise.all(options.seeds.map((seed) => this.#add(seed).first)).then(() => undefined);
  }

  get topology(): Topology {
    return this.#topology;
  }

  watch(listener: (topology: Topology) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  suspect(address: string, problem: string): void {
    if (this.#closed || !this.#reports.has(address)) return;
    this.#report(address, { problem });
    this.#members.get(address)?.hurry();
  }

  async answers(address: string, timeoutMs: number): Promise<boolean> {
    const member = this.#members.get(address);
    if (member === undefined || this.#closed) return false;
    const cancelled = new AbortController();
    const late = sleep(timeoutMs, cancelled.signal, this.#options.clock).then(
      () => false,
      () => false,
    );
    const answered = await Promise.race([member.askNow(), late]);
    cancelled.abort();
    return answered;
  }

  async refresh(timeoutMs: number): Promise<void> {
    await Promise.all([...this.#members.keys()].map((address) => this.answers(address, timeoutMs)));
  }

  close(): void {
    this.#closed = true;
    for (const member of this.#members.values()) member.close();
    this.#listeners.clear();
  }

  #add(address: string): Poller {
    const { ask = askOverConnection(this.#options), clock, pollMs, urgentPollMs } = this.#options;
    const member = new Poller({
      ask,
      address,
      clock,
      pauseMs: () => (this.#topology.writer === undefined ? urgentPollMs : pollMs),
      report: (report) => this.#report(address, report),
    });
    this.#members.set(address, member);
    return member;
  }

  #report(address: string, report: View | Problem): void {
    if (this.#closed) return;
    this.#reports.set(address, report);
    if ("members" in report) this.#discover(report.members);
    const topology = decideTopology(this.#reports, this.#options);
    const changed = JSON.stringify(topology) !== JSON.stringify(this.#topology);
    const lostWriter = this.#topology.writer !== undefined && topology.writer === undefined;
    this.#topology = topology;
    if (lostWriter) for (const member of this.#members.values()) member.hurry();
    if (changed) for (const listener of this.#listeners) listener(topology);
  }

  #discover(members: readonly MemberRow[]): void {
    for (const { address, state } of members) {
      if (state === "ONLINE" && !this.#members.has(address)) this.#add(address);
    }
  }
}
