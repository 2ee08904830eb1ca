/**
 * One connection to one member. Every answer is awaited with our own timer, because the driver's own timeouts leave the
 * connection poisoned and a destroyed connection never settles what it owes: here each statement always ends, and a
 * connection that let one down is killed on the server and never used again.
 */
import { connect as dialTcp, type Socket } from "node:net";
import { createConnection, type Connection as Driver } from "mysql2";
import type { Clock } from "../clock.ts";
import { detached } from "../rpc/context.ts";
import { CONNECTION_CLOSED, sqlError, SqlError, STATEMENT_TIMEOUT } from "./errors.ts";

/** What may stand for a `?`. Objects are refused: the driver would splice them into the statement. */
export type Param = string | number | bigint | boolean | Date | Uint8Array | null | undefined;

/** One entry for each `?`; a list for `IN (?)`. */
export type Params = readonly (Param | readonly Param[])[];

/** What a statement gave. */
export interface Outcome {
  /** Rows of a query; empty for other statements. */
  readonly rows: readonly unknown[];
  /** Rows that matched, for other statements than queries. */
  readonly affectedRows: number;
  /** The first AUTO_INCREMENT value that was made, or 0. */
  readonly insertId: number;
  /** The transaction that this statement ended, as a GTID set; empty if it ended none that wrote. */
  readonly gtids: string;
  /** Whether the session has an open transaction after it; undefined for queries, which do not tell. */
  readonly inTransaction?: boolean;
}

/** A connection. */
export interface Connection {
  /** The member, `host:port`. */
  readonly member: string;
  /** False as soon as it can't be used any more. */
  readonly usable: boolean;
  /** Runs one statement after those that already run. Rejects with a SqlError, at the latest after `timeoutMs`. */
  run(sql: string, params: Params, timeoutMs: number): Promise<Outcome>;
  /** Drops it at once. Whatever runs is rejected as lost. */
  destroy(): void;
  /** Says goodbye and closes. */
  close(): void;
}

/** Who connects, and how privately. */
export interface Account {
  readonly user: string;
  readonly password: string;
  /**
   * Encrypts, and refuses members whose certificate was not signed by this authority (PEM). Host names are not compared:
   * those that MySQL makes for itself have none. Absent: not encrypted.
   */
  readonly ca?: string;
}

/** How to connect. */
export interface ConnectOptions extends Account {
  /** `host:port`. */
  readonly member: string;
  /** Schema to use; absent for none. */
  readonly database?: string;
  /** A statement for the new session, such as `SET SESSION …`. */
  readonly setup?: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Called once, when it stops being usable. */
  readonly onGone?: () => void;
  /** Kills a statement that ran too long, on the server. */
  readonly kill?: (threadId: number) => void;
}

/** Connects and sets the session up. Rejects with a SqlError. */
export function connect(options: ConnectOptions): Promise<Connection> {
  // Sockets outlive the call that happens to open them.
  return detached(async () => {
    const connection = new MemberConnection(options);
    await connection.connected();
    if (options.setup !== undefined) await connection.run(options.setup, [], options.timeoutMs);
    return connection;
  });
}

/** Splits `host:port`; IPv6 addresses stand in brackets. */
export function splitAddress(address: string): readonly [host: string, port: number] {
  const match = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(address);
  if (match === null) throw new TypeError(`not host:port: ${address}`);
  return [match[1] ?? match[2]!, Number(match[3])];
}

class MemberConnection implements Connection {
  readonly member: string;
  readonly #options: ConnectOptions;
  readonly #socket: Socket;
  readonly #driver: Driver;
  /** Each rejects one statement that runs. */
  readonly #running = new Set<(error: SqlError) => void>();
  #gone = false;

  constructor(options: ConnectOptions) {
    this.member = options.member;
    this.#options = options;
    const [host, port] = splitAddress(options.member);
    this.#socket = dialTcp({ host, port, noDelay: true, keepAlive: true });
    this.#driver = openDriver(options, this.#socket);
    this.#driver.on("error", (error: Error) => this.#lose(sqlError(this.member, error)));
    this.#driver.on("end", () => this.#lose(this.#error("PROTOCOL_CONNECTION_LOST", "the server closed it")));
  }

  get usable(): boolean {
    return !this.#gone;
  }

  async connected(): Promise<void> {
    try {
      await this.#answer<unknown>("ETIMEDOUT", this.#options.timeoutMs, (done) => this.#driver.connect(done));
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  async run(sql: string, params: Params, timeoutMs: number): Promise<Outcome> {
    if (this.#gone) throw this.#error(CONNECTION_CLOSED, "the connection is closed");
    const values = params.map(checked);
    try {
      const result = await this.#answer<unknown>(STATEMENT_TIMEOUT, timeoutMs, (done) => {
        if (values.length === 0) this.#driver.query(sql, done);
        else this.#driver.query(sql, values, done);
      });
      return outcome(result);
    } catch (error) {
      // It was made where the answer came in; whoever reads the log wants to know who asked, and what.
      if (error instanceof SqlError) error.locate(sql);
      throw error;
    }
  }

  destroy(): void {
    this.#lose(this.#error("PROTOCOL_CONNECTION_LOST", "the connection was dropped"));
  }

  close(): void {
    if (this.#gone) return;
    this.#retire();
    this.#driver.end();
    this.#options.clock.after(1000, () => this.#socket.destroy());
  }

  #answer<T>(
    timeoutCode: string,
    timeoutMs: number,
    start: (done: (error: Error | null, value?: T) => void) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const fail = (error: SqlError) => {
        cancel();
        this.#running.delete(fail);
        reject(error);
      };
      const cancel = this.#options.clock.after(timeoutMs, () => {
        if (timeoutCode === STATEMENT_TIMEOUT) this.#options.kill?.(this.#driver.threadId);
        this.#lose(this.#error(timeoutCode, `no answer within ${Math.round(timeoutMs)} ms`));
      });
      this.#running.add(fail);
      start((error, value) => {
        if (error !== null) return this.#failed(sqlError(this.member, error), fail);
        cancel();
        this.#running.delete(fail);
        resolve(value as T);
      });
    });
  }

  #failed(error: SqlError, fail: (error: SqlError) => void): void {
    fail(error);
    if (error.fatal) this.#lose(error);
  }

  #lose(error: SqlError): void {
    if (this.#gone) return;
    this.#retire();
    // The driver's own destroy() only half-closes, which a frozen peer never notices.
    this.#socket.destroy();
    for (const fail of this.#running) fail(error);
  }

  #retire(): void {
    this.#gone = true;
    this.#options.onGone?.();
  }

  #error(code: string, message: string): SqlError {
    return new SqlError(this.member, { code, message, fatal: true });
  }
}

function openDriver({ user, password, ca, database, timeoutMs }: ConnectOptions, stream: Socket): Driver {
  return createConnection({
    stream,
    user,
    password,
    ...(ca !== undefined && { ssl: { ca } }),
    ...(database !== undefined && { database }),
    charset: "utf8mb4_0900_ai_ci",
    timezone: "Z",
    // Numbers beyond 2^53 come as strings, not as wrong numbers.
    supportBigNumbers: true,
    // None are used, and the driver reserves half a megabyte for the 16 000 it would keep.
    maxPreparedStatements: 1,
    // Our own timers come first.
    connectTimeout: timeoutMs + 1000,
  });
}

function checked(param: Params[number]): unknown {
  if (param === undefined) return null;
  if (param === null || typeof param !== "object" || param instanceof Date) return param;
  if (Array.isArray(param)) return (param as readonly Param[]).map(checked);
  if (param instanceof Uint8Array) return Buffer.from(param.buffer, param.byteOffset, param.byteLength);
  throw new TypeError(
    "a parameter must be a string, number, boolean, Date, Uint8Array, null or a list of them",
  );
}

/** What mysql2 answers to a statement without rows. Its types lack `stateChanges`. */
interface DriverHeader {
  readonly affectedRows: number;
  readonly insertId: number;
  readonly serverStatus: number;
  readonly stateChanges?: { readonly gtids: readonly string[] };
}

/** https://dev.mysql.com/doc/dev/mysql-server/latest/mysql__com_8h.html */
const SERVER_STATUS_IN_TRANS = 1;

function outcome(result: unknown): Outcome {
  if (Array.isArray(result)) return { rows: result as unknown[], affectedRows: 0, insertId: 0, gtids: "" };
  const { affectedRows, insertId, serverStatus, stateChanges } = result as DriverHeader;
  const inTransaction = (serverStatus & SERVER_STATUS_IN_TRANS) !== 0;
  return { rows: [], affectedRows, insertId, gtids: stateChanges?.gtids.join(",") ?? "", inTransaction };
}
