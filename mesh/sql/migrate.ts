/**
 * Brings a schema up to date: `NNN_name.sql` files, in order, each run once, on the primary, by whichever instance comes
 * first; the others wait for it. What has run is remembered with a checksum, so that a file that was changed or removed
 * afterwards is refused by name instead of leaving schemas that differ.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Code } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { sleep } from "../clock.ts";
import { rpcError } from "../errors.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";
import { classifyError, SqlError } from "./errors.ts";
import { splitStatements } from "./statements.ts";
import { whyNoWriter } from "./topology.ts";

/** How to migrate. */
export interface MigrateOptions {
  /** Only tell what would be run. Default false. */
  readonly dryRun?: boolean;
  /** How long to wait for a primary and for another instance that migrates. Default 60 000 ms. */
  readonly timeoutMs?: number;
}

/** A migration file. */
export interface Migration {
  /** `platform` for the tables of Heddle itself, `service` for those of the folder. */
  readonly source: "platform" | "service";
  /** Such as `001_orders.sql`. */
  readonly name: string;
  readonly checksum: string;
  readonly statements: readonly string[];
}

const PLATFORM_FOLDER = fileURLToPath(new URL("migrations", import.meta.url));
const FILE_NAME = /^\d{3}_[a-z0-9_]+\.sql$/;
/** DDL takes longer than a statement of a service. */
const STATEMENT_MS = 60_000;

/** Runs what has not run yet, the platform's tables first. Resolves with what was run, or would be. */
export async function migrate(
  db: Database,
  folder: string,
  { dryRun = false, timeoutMs = 60_000 }: MigrateOptions = {},
): Promise<readonly Migration[]> {
  const files = [
    ...(await readMigrations("platform", PLATFORM_FOLDER)),
    ...(await readMigrations("service", folder)),
  ];
  const until = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await onPrimary(db, until, (connection) =>
        migrateOver(connection, db.name, files, dryRun, until),
      );
    } catch (error) {
      if (!(error instanceof SqlError) || !isWorthAnotherTry(error) || Date.now() > until) throw error;
      await sleep(200);
    }
  }
}

/** The migrations of a folder, in order. Throws a TypeError for a file whose name does not fit. */
export async function readMigrations(
  source: Migration["source"],
  folder: string,
): Promise<readonly Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".sql")).sort();
  const numbers = new Map<string, string>();
  for (const name of names) {
    if (!FILE_NAME.test(name))
      throw new TypeError(`${join(folder, name)}: migrations are named NNN_name.sql`);
    const twin = numbers.get(name.slice(0, 3));
    if (twin !== undefined) throw new TypeError(`${folder}: ${twin} and ${name} have the same number`);
    numbers.set(name.slice(0, 3), name);
  }
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(folder, name), "utf8");
      const checksum = createHash("sha256").update(text).digest("hex");
      return { source, name, checksum, statements: splitStatements(text) };
    }),
  );
}

async function onPrimary<T>(
  db: Database,
  until: number,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await db.connectToMigrate(await primaryOf(db, until));
  try {
    return await work(connection);
  } finally {
    connection.close();
  }
}

async function primaryOf(db: Database, until: number): Promise<string> {
  for (;;) {
    const topology = db.topology();
    if (topology.writer !== undefined) return topology.writer;
    if (topology.refusal !== undefined || Date.now() > until) {
      const message = `no primary to migrate ${db.name} on: ${topology.refusal ?? whyNoWriter(topology)}`;
      throw rpcError(Code.Unavailable, Reason.NO_PRIMARY, message);
    }
    await sleep(20);
  }
}

function isWorthAnotherTry(error: SqlError): boolean {
  const found = classifyError(error, { phase: "sent", healthy: true });
  return found === "lost" || found === "not_executed" || found === "rolled_back";
}

async function migrateOver(
  connection: Connection,
  schema: string,
  files: readonly Migration[],
  dryRun: boolean,
  until: number,
): Promise<readonly Migration[]> {
  if (dryRun) return pending(files, await readDone(connection));
  const name = `heddle-migrate:${schema}`.slice(0, 64);
  await lock(connection, name, until);
  try {
    await connection.run(DONE_TABLE, [], STATEMENT_MS);
    const done = await readDone(connection);
    const todo = pending(files, done);
    for (const file of todo)
      await runFile(
        connection,
        file,
        done.find((row) => isSame(row, file)),
      );
    return todo;
  } finally {
    if (connection.usable) await connection.run("SELECT RELEASE_LOCK(?)", [name], STATEMENT_MS);
  }
}

const DONE_TABLE = `CREATE TABLE IF NOT EXISTS heddle_migrations (
  source VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  name VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  checksum CHAR(64) CHARACTER SET ascii NOT NULL,
  statements INT UNSIGNED NOT NULL,
  statements_done INT UNSIGNED NOT NULL DEFAULT 0,
  at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (source, name)
)`;

/** What is remembered of a file. */
export interface DoneRow {
  readonly source: string;
  readonly name: string;
  readonly checksum: string;
  readonly statements: number;
  readonly statements_done: number;
}

async function lock(connection: Connection, name: string, until: number): Promise<void> {
  const seconds = Math.max(1, Math.ceil((until - Date.now()) / 1000));
  const { rows } = await connection.run(
    "SELECT GET_LOCK(?, ?) AS got",
    [name, seconds],
    (seconds + 5) * 1000,
  );
  if ((rows as readonly { readonly got: number | null }[])[0]?.got === 1) return;
  throw rpcError(Code.Aborted, Reason.IN_PROGRESS, `another instance has been migrating for ${seconds} s`);
}

async function readDone(connection: Connection): Promise<readonly DoneRow[]> {
  try {
    const { rows } = await connection.run(
      "SELECT * FROM heddle_migrations ORDER BY source, name",
      [],
      STATEMENT_MS,
    );
    return rows as readonly DoneRow[];
  } catch (error) {
    if (error instanceof SqlError && error.errno === 1146) return [];
    throw error;
  }
}

/** What is to be run, after what has been. Throws if a file that ran was changed or is missing, or comes too late. */
export function pending(files: readonly Migration[], done: readonly DoneRow[]): readonly Migration[] {
  const wrong = done.flatMap((row) => {
    const file = files.find((file) => isSame(row, file));
    if (file === undefined) return [`${row.name} has run but is missing; restore it`];
    if (file.checksum !== row.checksum)
      return [`${row.name} was changed after it ran; restore it and add a new file`];
    return [];
  });
  const finished = done.filter((row) => row.statements_done >= row.statements);
  const todo = files.filter((file) => !finished.some((row) => isSame(row, file)));
  for (const { source, name } of todo) {
    const later = finished.find((row) => row.source === source && row.name > name);
    if (later !== undefined)
      wrong.push(`${name} is new but comes before ${later.name}, which has run; renumber it`);
  }
  if (wrong.length === 0) return todo;
  throw rpcError(Code.FailedPrecondition, Reason.DATABASE_MISUSE, `migrations: ${wrong.join("; ")}`);
}

function isSame(row: DoneRow, file: Migration): boolean {
  return row.source === file.source && row.name === file.name;
}

/** DDL commits itself, so that what was interrupted goes on after the last statement that is known to have run. */
async function runFile(connection: Connection, file: Migration, done: DoneRow | undefined): Promise<void> {
  const { source, name, checksum, statements } = file;
  const row = [source, name, checksum, statements.length];
  await connection.run(
    "INSERT IGNORE INTO heddle_migrations (source, name, checksum, statements) VALUES (?)",
    [row],
    STATEMENT_MS,
  );
  for (const [index, statement] of statements.entries()) {
    if (index < (done?.statements_done ?? 0)) continue;
    try {
      await connection.run(statement, [], STATEMENT_MS);
    } catch (error) {
      throw error instanceof SqlError && !isWorthAnotherTry(error) ? failed(file, index, error) : error;
    }
    const progress = [index + 1, source, name];
    await connection.run(
      "UPDATE heddle_migrations SET statements_done = ? WHERE source = ? AND name = ?",
      progress,
      STATEMENT_MS,
    );
  }
}

function failed({ name }: Migration, index: number, cause: SqlError): Error {
  const message = `${basename(name)}, statement ${index + 1}: ${cause.message}`;
  return rpcError(Code.FailedPrecondition, Reason.DATABASE_MISUSE, message, { cause });
}
