/**
 * One run of a transaction on one connection. It knows how far it came, and an error that ended the transaction on the
 * server ends it here too, even if the code inside caught it: later statements would otherwise commit by themselves.
 */
import { Code } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../errors.ts";
import type { Connection, Outcome, Params } from "./connection.ts";
import { KeyBusy, SqlError, TRANSACTION_GONE, type Phase } from "./errors.ts";
import type { Done, Tx } from "./queryable.ts";

/** Why a run failed on the database's side, and how far it had come. */
export class RunFailed extends Error {
  readonly error: SqlError;
  readonly phase: Phase;

  constructor(error: SqlError, phase: Phase) {
    super(error.message, { cause: error });
    this.name = "RunFailed";
    this.error = error;
    this.phase = phase;
  }
}

/** How long statements may take. */
export interface RunLimits {
  /** For the next statement of the work, in milliseconds; not more than the caller's deadline leaves. */
  statementMs(): number;
  /** For COMMIT, whose outcome is worth waiting for even when the caller is in a hurry. */
  readonly commitMs: number;
}

/** What a run gave. */
export interface Committed<T> {
  readonly value: T;
  /** GTID set of the transaction; empty if it wrote nothing. */
  readonly gtids: string;
}

/**
 * Runs `work` between BEGIN and COMMIT. Rejects with RunFailed for errors of the database, and with whatever else `work`
 * throws, rolled back.
 */
export async function runTransaction<T>(
  connection: Connection,
  work: (tx: Tx) => Promise<T>,
  limits: RunLimits,
): Promise<Committed<T>> {
  const run = new Run(connection, limits);
  try {
    await run.begin();
    const value = await work(run);
    run.end();
    const gtids = await run.commit();
    return { value, gtids };
  } catch (error) {
    run.end();
    await run.rollback();
    const cause = run.broken ?? error;
    throw cause instanceof SqlError && run.isOwn(cause) ? new RunFailed(cause, run.phase) : error;
  }
}

class Run implements Tx {
  readonly #connection: Connection;
  readonly #limits: RunLimits;
  /** Errors of this connection: the work may throw those of another database too. */
  readonly #errors = new Set<unknown>();
  #running = 0;
  #isOver = false;
  /** A statement has ended the transaction. */
  #isEnded = false;
  phase: Phase = "unsent";
  /** The error that ended the transaction on the server. */
  broken: SqlError | undefined;

  constructor(connection: Connection, limits: RunLimits) {
    this.#connection = connection;
    this.#limits = limits;
  }

  async begin(): Promise<void> {
    await this.#run("BEGIN", [], this.#limits.statementMs());
    this.phase = "sent";
  }

  async query<Row>(sql: string, params: Params = []): Promise<Row[]> {
    const { rows } = await this.#statement(sql, params);
    return rows as Row[];
  }

  async execute(sql: string, params: Params = []): Promise<Done> {
    const { affectedRows, insertId } = await this.#statement(sql, params);
    return { affectedRows, insertId };
  }

  /** The work is over: nothing may be run any more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#running === 0) return;
    // Its effect may come before or after COMMIT: nobody could tell.
    this.#connection.destroy();
    throw misuse("a statement of the transaction was not awaited");
  }

  async commit(): Promise<string> {
    if (this.broken !== undefined) throw this.broken;
    this.phase = "committing";
    const { gtids } = await this.#run("COMMIT", [], this.#limits.commitMs);
    return gtids;
  }

  async rollback(): Promise<void> {
    if (!this.#connection.usable || this.phase === "unsent") return;
    try {
      await this.#connection.run("ROLLBACK", [], this.#limits.commitMs);
    } catch {
      this.#connection.destroy();
    }
  }

  async #statement(sql: string, params: Params): Promise<Outcome> {
    if (this.#isOver) throw misuse("the transaction is over; its `tx` must not be used any more");
    if (this.broken !== undefined) throw this.broken;
    if (this.#isEnded) throw misuse("a statement before has ended the transaction; DDL commits by itself");
    const outcome = await this.#run(sql, params, this.#limits.statementMs());
    if (outcome.inTransaction === false) this.#ended(outcome);
    return outcome;
  }

  /** DDL, which touches no rows, ends transactions; if anything else finds that there is none, it was lost on the way. */
  #ended({ affectedRows }: Outcome): void {
    this.#isEnded = true;
    if (affectedRows === 0) return;
    const message = "the server had lost the transaction; the statement has committed by itself";
    this.broken = new SqlError(this.#connection.member, { code: TRANSACTION_GONE, message, fatal: true });
    this.#errors.add(this.broken);
    this.#connection.destroy();
    throw this.broken;
  }

  async #run(sql: string, params: Params, timeoutMs: number): Promise<Outcome> {
    this.#running++;
    try {
      return await this.#connection.run(sql, params, timeoutMs);
    } catch (error) {
      if (!this.#isOver || this.phase === "committing") this.#note(error);
      throw error;
    } finally {
      this.#running--;
    }
  }

  isOwn(error: SqlError): boolean {
    return this.#errors.has(error) || error instanceof KeyBusy;
  }

  #note(error: unknown): void {
    this.#errors.add(error);
    if (error instanceof SqlError && endsTransaction(error)) this.broken ??= error;
  }
}

/** Errors after which the server has no transaction any more, or refuses to go on with it. */
const endings: ReadonlySet<number> = new Set([1213, 1290, 1792, 1836, 3032, 3100, 3101, 4094]);

function endsTransaction(error: SqlError): boolean {
  return error.fatal || endings.has(error.errno);
}

/** A programmer's error in using the database. */
export function misuse(what: string): Error {
  return rpcError(Code.Internal, Reason.DATABASE_MISUSE, what);
}
