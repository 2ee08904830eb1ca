/**
 * Keeps asking every member of the group what it sees, and tells who may be written and read as soon as that changes.
 * It begins with the seeds and finds the others from them; nobody configures roles.
 */
import type { Clock } from "../clock.ts";
import { sleep, systemClock } from "../clock.ts";
import { detached } from "../rpc/context.ts";
import { connect, type Account, type Connection } from "./connection.ts";
import { classifyError, sqlError, STATEMENT_TIMEOUT } from "./errors.ts";
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

/** Asks members for their view. */
export interface Ask {
  (address: string): Promise<View | Problem>;
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
    const member = new Poller(
      this.#options.ask ?? askOverConnection(this.#options),
      address,
      this.#options,
      () => (this.#topology.writer === undefined ? this.#options.urgentPollMs : this.#options.pollMs),
      (report) => this.#report(address, report),
    );
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

/** Asks one member again and again. */
class Poller {
  readonly #ask: Ask & { close?: () => void };
  readonly #address: string;
  readonly #options: { readonly deadlineMs: number; readonly clock: Clock };
  readonly #pauseMs: () => number;
  readonly #report: (report: View | Problem) => void;
  #asking: Promise<boolean> | undefined;
  #cancelPause: (() => void) | undefined;
  #wasLate = false;
  #closed = false;
  readonly first: Promise<boolean>;

  constructor(
    ask: Ask & { close?: () => void },
    address: string,
    options: { readonly deadlineMs: number; readonly clock: Clock },
    pauseMs: () => number,
    report: (report: View | Problem) => void,
  ) {
    this.#ask = ask;
    this.#address = address;
    this.#options = options;
    this.#pauseMs = pauseMs;
    this.#report = report;
    this.first = this.askNow();
  }

  /** Asks unless it is being asked already; tells whether it answered. */
  askNow(): Promise<boolean> {
    this.#cancelPause?.();
    this.#asking ??= this.#askOnce();
    return this.#asking;
  }

  /** Asks sooner than it would have. */
  hurry(): void {
    if (this.#asking === undefined) void this.askNow();
  }

  close(): void {
    this.#closed = true;
    this.#cancelPause?.();
    this.#ask.close?.();
  }

  async #askOnce(): Promise<boolean> {
    const report = await this.#ask(this.#address).catch((error: unknown) => ({ problem: String(error) }));
    this.#asking = undefined;
    if (this.#closed) return false;
    if (this.#isFirstMiss(report)) return this.#pause();
    this.#report(report);
    if (this.#asking === undefined) this.#pause();
    return !("problem" in report);
  }

  /** A machine that is busy misses one question now and then, a frozen one misses them all. */
  #isFirstMiss(report: View | Problem): boolean {
    const isLate = "problem" in report && report.late === true;
    const isFirst = isLate && !this.#wasLate;
    this.#wasLate = isLate;
    return isFirst;
  }

  #pause(): false {
    this.#cancelPause = this.#options.clock.after(this.#pauseMs(), () => void this.askNow());
    return false;
  }
}

const QUESTION = `
  SELECT m.member_id AS id, m.member_host AS host, m.member_port AS port, m.member_state AS state,
         m.member_role AS role, m.member_id = @@server_uuid AS self, s.view_id AS viewId,
         s.count_transactions_remote_in_applier_queue AS applierQueue,
         @@super_read_only AS readOnly, @@offline_mode AS offline
  FROM performance_schema.replication_group_members m
  LEFT JOIN performance_schema.replication_group_member_stats s USING (member_id)`;

interface Row {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly state: string;
  readonly role: string;
  readonly self: number;
  readonly viewId: string | null;
  readonly applierQueue: number | string | null;
  readonly readOnly: number;
  readonly offline: number;
}

/** Asks over a connection that is kept from one question to the next. */
function askOverConnection(options: {
  readonly account: Account;
  readonly deadlineMs: number;
  readonly clock: Clock;
}): Ask & { close(): void } {
  let connection: Connection | undefined;
  const ask = async (address: string): Promise<View | Problem> => {
    try {
      if (connection?.usable !== true) {
        const { account, deadlineMs, clock } = options;
        connection = await connect({ ...account, member: address, timeoutMs: deadlineMs, clock });
      }
      const { rows } = await connection.run(QUESTION, [], options.deadlineMs);
      return toView(rows as readonly Row[]);
    } catch (error) {
      const failure = sqlError(address, error);
      const refused = classifyError(failure, { phase: "unsent", healthy: true }) === "refused";
      const late = failure.code === STATEMENT_TIMEOUT;
      return {
        problem: failure.message.slice(address.length + 2),
        ...(refused && { refused }),
        ...(late && { late }),
      };
    }
  };
  return Object.assign(ask, { close: () => connection?.close() });
}

function toView(rows: readonly Row[]): View {
  const self = rows.find((row) => row.self === 1);
  return {
    self: self?.id ?? "",
    viewId: self?.viewId ?? "",
    members: rows.map(({ id, host, port, state, role }) => ({ id, address: `${host}:${port}`, state, role })),
    applierQueue: Number(self?.applierQueue ?? 0),
    readOnly: rows[0]?.readOnly === 1,
    offline: rows[0]?.offline === 1,
  };
}
