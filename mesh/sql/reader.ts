/**
 * Runs reads on the member that fits their consistency. Each statement stands for itself, so one that a member lets down
 * goes to another member, unseen by the code that reads.
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { sleep, type Clock, type Random } from "../clock.ts";
import { rpcError } from "../errors.ts";
import { chooseReader } from "./choose.ts";
import type { Connection, Params } from "./connection.ts";
import type { Deadline } from "./deadline.ts";
import { ACQUIRE_TIMEOUT, classifyError, SqlError, STATEMENT_TIMEOUT } from "./errors.ts";
import { refused, type Hold } from "./hold.ts";
import type { MemberPool } from "./member-pool.ts";
import type { SqlMetrics } from "./metrics.ts";
import type { Monitor } from "./monitor.ts";
import type { ReadKind } from "./pools.ts";
import type { Queryable } from "./queryable.ts";
import { whyNoWriter } from "./topology.ts";
import { misuse } from "./transaction.ts";
import { poolExhausted, statementTimeout } from "./writer.ts";

/**
 * How fresh a read must be.
 * - `primary`: what is committed on the primary.
 * - `session`: at least what this call tree has written, on any member.
 * - `strong`: everything that was committed anywhere before the read began, on any member.
 * - `eventual`: whatever a member has; usually milliseconds old.
 */
export type Consistency = "primary" | "session" | "strong" | "eventual";

/** What a reader needs. */
export interface ReaderOptions {
  readonly monitor: Monitor;
  readonly hold: Hold;
  /** The pool of connections that read from a member. */
  readonly pool: (member: string, kind: ReadKind) => MemberPool;
  /** Number of the member that reads go to if it is fit, from 1, in the order of addresses. Absent: any. */
  readonly preferMember?: number;
  readonly acquireMs: number;
  readonly statementMs: number;
  readonly clock: Clock;
  readonly random: Random;
  /** The GTID set that a session read must see; empty for none. */
  readonly token: () => string;
  readonly metrics: SqlMetrics;
}

/** Runs a read. */
export interface Reader {
  <T>(work: (queryable: Queryable) => Promise<T>, consistency: Consistency, deadline: Deadline): Promise<T>;
}

/** A token is awaited this long on a member that is not the primary before the primary is asked instead. */
const TOKEN_WAIT_MS = 50;
/** While there is no primary, it is awaited again after a pause without a connection. */
const TOKEN_PAUSE_MS = 50;
/** How long the members have to tell who is the primary before it is asked without a token. */
const REFRESH_MS = 100;
/** A statement that takes longer makes its member be asked whether it is alive. */
const STALL_MS = 60;
/** How long it has to say so. */
const ALIVE_MS = 60;
/** A member that did not, or had no connection to give, is passed over by other reads this long, if there are others. */
const PASS_OVER_MS = 1000;

/** Makes a reader. */
export function createReader(options: ReaderOptions): Reader {
  const frozen = new Map<string, number>();
  return async (work, consistency, deadline) => {
    const read = new Read(options, consistency, deadline, frozen);
    try {
      return await work(read);
    } finally {
      read.end();
    }
  };
}

class Read implements Queryable {
  readonly #options: ReaderOptions;
  readonly #consistency: Consistency;
  readonly #deadline: Deadline;
  /** Members that seem frozen or overloaded, and until when they are passed over. Shared by all reads. */
  readonly #frozen: Map<string, number>;
  /** Members that let this read down. */
  readonly #failed = new Set<string>();
  /** Where the last statement was answered: the next one goes there too, so that time does not go back. */
  #member: string | undefined;
  /** A member did not have what the token asks for: the primary has it. */
  #isTokenLate = false;
  #isOver = false;

  constructor(
    options: ReaderOptions,
    consistency: Consistency,
    deadline: Deadline,
    frozen: Map<string, number>,
  ) {
    this.#options = options;
    this.#consistency = consistency;
    this.#deadline = deadline;
    this.#frozen = frozen;
  }

  end(): void {
    this.#isOver = true;
  }

  async query<Row>(sql: string, params: Params = []): Promise<Row[]> {
    if (this.#isOver) throw misuse("the read is over; its queryable must not be used any more");
    for (;;) {
      try {
        const rows = await (this.#asksPrimary() ? this.#onPrimary(sql, params) : this.#onReader(sql, params));
        if (rows !== undefined) return rows as Row[];
      } catch (error) {
        if (!(error instanceof SqlError)) throw error;
        this.#giveUp(error);
        this.#letDown(error);
        await sleep(5 + 10 * this.#options.random(), undefined, this.#options.clock);
      }
    }
  }

  /** A token is never a reason to wait for a primary: sooner or later every member has what it asks for. */
  #asksPrimary(): boolean {
    if (this.#consistency === "primary") return true;
    const { writer } = this.#options.monitor.topology;
    return this.#isTokenLate && writer !== undefined && this.#isFit(writer);
  }

  async #onPrimary(sql: string, params: Params): Promise<readonly unknown[]> {
    const { writer, hasWaited } = await this.#options.hold.enter(this.#deadline.until);
    const patienceMs = hasWaited ? Infinity : this.#options.acquireMs;
    return this.#run(writer, "primary", patienceMs, (connection) => this.#statement(connection, sql, params));
  }

  /** Undefined: the member does not have what the token asks for; ask again, perhaps the primary. */
  async #onReader(sql: string, params: Params): Promise<readonly unknown[] | undefined> {
    const member = this.#member ?? (await this.#choose());
    const patienceMs = this.#mayMove(member) ? STALL_MS + ALIVE_MS : this.#options.acquireMs;
    const rows = await this.#run(member, this.#kind(), patienceMs, async (connection) => {
      if (this.#member === undefined && !(await this.#hasToken(connection))) return undefined;
      this.#member = member;
      return this.#statement(connection, sql, params);
    });
    if (rows === undefined) await this.#tokenIsLate();
    return rows;
  }

  /** The primary must be the one of now: a former one may still believe that it is. */
  async #tokenIsLate(): Promise<void> {
    const { monitor, clock } = this.#options;
    this.#isTokenLate = true;
    await monitor.refresh(REFRESH_MS);
    if (this.#asksPrimary()) return;
    if (this.#deadline.isOver()) throw noReader(monitor);
    await sleep(TOKEN_PAUSE_MS, undefined, clock);
  }

  async #run<T>(
    member: string,
    kind: ReadKind,
    patienceMs: number,
    use: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    const pool = this.#options.pool(member, kind);
    const connection = await pool.acquire(this.#deadline.atMost(patienceMs));
    try {
      return await use(connection);
    } finally {
      pool.release(connection);
    }
  }

  async #statement(connection: Connection, sql: string, params: Params): Promise<readonly unknown[]> {
    const stopWatching = this.#watchStall(connection, STALL_MS);
    try {
      const { rows } = await connection.run(sql, params, this.#deadline.atMost(this.#options.statementMs));
      this.#options.metrics.answered(connection.member);
      return rows;
    } finally {
      stopWatching();
    }
  }

  /**
   * A frozen member keeps its connections open and says nothing: it is left before the group notices, as long as there are
   * members that were not tried.
   */
  #watchStall(connection: Connection, afterMs: number): () => void {
    const { monitor, clock } = this.#options;
    if (!this.#mayMove(connection.member)) return () => undefined;
    let isOver = false;
    const cancel = clock.after(afterMs, () => {
      void monitor.answers(connection.member, ALIVE_MS).then((isAlive) => {
        if (isAlive || isOver) return;
        this.#passOver(connection.member);
        connection.destroy();
      });
    });
    return () => {
      isOver = true;
      cancel();
    };
  }

  /** Waits until the member has what the token asks for; tells whether it has. */
  async #hasToken(connection: Connection): Promise<boolean> {
    const { token, clock, metrics } = this.#options;
    const gtids = this.#consistency === "session" ? token() : "";
    if (gtids === "") return true;
    const begin = clock.monotonic();
    const hasCome = await this.#waitFor(connection, gtids, this.#deadline.atMost(TOKEN_WAIT_MS));
    metrics.tokenWait(clock.monotonic() - begin, hasCome);
    return hasCome;
  }

  async #waitFor(connection: Connection, gtids: string, waitMs: number): Promise<boolean> {
    const stopWatching = this.#watchStall(connection, waitMs + STALL_MS);
    try {
      const { rows } = await connection.run(
        "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, ?) AS late",
        [gtids, waitMs / 1000],
        waitMs + this.#options.statementMs,
      );
      return (rows as readonly { readonly late: number }[])[0]?.late === 0;
    } finally {
      stopWatching();
    }
  }

  async #choose(): Promise<string> {
    const { monitor, pool, preferMember, random, clock } = this.#options;
    for (;;) {
      const { members, readers, refusal } = monitor.topology;
      const preferred = preferMember === undefined ? undefined : members[(preferMember - 1) % members.length];
      const fit = readers.filter((reader) => this.#isFit(reader));
      // All were tried: begin again.
      if (fit.length === 0) this.#failed.clear();
      const load = (member: string) => pool(member, this.#kind()).load;
      const chosen = chooseReader(fit.length > 0 ? fit : readers, preferred?.address, load, random);
      if (chosen !== undefined) return chosen;
      if (refusal !== undefined) throw refused(refusal);
      if (this.#deadline.isOver()) throw noReader(monitor);
      await sleep(this.#deadline.atMost(20), undefined, clock);
    }
  }

  #kind(): ReadKind {
    return this.#consistency === "strong" ? "strong" : "any";
  }

  /** Whether another member may answer as well. */
  #mayMove(member: string): boolean {
    if (this.#consistency === "primary") return false;
    return this.#options.monitor.topology.readers.some((other) => other !== member && this.#isFit(other));
  }

  #isFit(member: string): boolean {
    return !this.#failed.has(member) && !this.#isFrozen(member);
  }

  #isFrozen(member: string): boolean {
    return (this.#frozen.get(member) ?? 0) > this.#options.clock.now();
  }

  #passOver(member: string): void {
    this.#frozen.set(member, this.#options.clock.now() + PASS_OVER_MS);
  }

  #letDown({ member, code, fatal }: SqlError): void {
    this.#member = undefined;
    this.#failed.add(member);
    if (code === ACQUIRE_TIMEOUT) this.#passOver(member);
    else if (fatal && !this.#isFrozen(member)) this.#options.monitor.suspect(member, code);
  }

  /** Throws unless another member may do better. */
  #giveUp(error: SqlError): void {
    const found = classifyError(error, { phase: "sent", healthy: true });
    // Sessions that read are read only, on every member: this is a write in the wrong place.
    if (error.errno === 1792 || error.errno === 1290)
      throw misuse(`db.read must not write: ${error.message}`);
    if (found === "refused") throw refused(error.message);
    if (found === "caller" || found === "too_large") throw error;
    const isWell = this.#options.monitor.topology.readers.includes(error.member);
    if (isWell && error.code === STATEMENT_TIMEOUT) throw statementTimeout(error);
    if (isWell && error.code === ACQUIRE_TIMEOUT && !this.#mayMove(error.member)) throw poolExhausted(error);
    if (this.#deadline.isOver()) throw noReader(this.#options.monitor, error);
  }
}

function noReader({ topology }: Monitor, cause?: SqlError): ConnectError {
  const message = `no member of the MySQL group can be read: ${cause?.message ?? whyNoWriter(topology)}`;
  return rpcError(Code.Unavailable, Reason.NO_PRIMARY, message, { retryAfterMs: 1000, cause });
}
