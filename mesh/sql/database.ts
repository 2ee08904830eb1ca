/**
 * A MySQL group as one database. Code says what it wants, a write or a read of some freshness; which member that means
 * is found out here, and found out again whenever the group changes. Kill the primary: writes wait some seconds, none is
 * lost, none is applied twice. See docs/sql.md.
 */
import type { Registry } from "prom-client";
import { systemClock, type Clock, type Random } from "../clock.ts";
import { connect, splitAddress, type Account, type Connection } from "./connection.ts";
import { currentTokens } from "./consistency.ts";
import { deadlineIn } from "./deadline.ts";
import { formatGtidSet, parseGtidSet } from "./gtid.ts";
import { createHold } from "./hold.ts";
import { jsonCodec, once } from "./keyed.ts";
import { createSqlMetrics, noSqlMetrics } from "./metrics.ts";
import { createMonitor } from "./monitor.ts";
import { createPools } from "./pools.ts";
import type { Queryable, Tx } from "./queryable.ts";
import { createReader, type Consistency } from "./reader.ts";
import { createScopes } from "./scopes.ts";
import type { Topology } from "./topology.ts";
import { createWriter } from "./writer.ts";

export type { Queryable, Tx, Done } from "./queryable.ts";
export type { Consistency } from "./reader.ts";

/** Where the database is, and how it is used. */
export interface DatabaseOptions extends Account {
  /** Members to begin with, `host:port`; the others are discovered. */
  readonly seeds: readonly string[];
  /** Schema. */
  readonly database: string;
  /** An account that may create tables, for migrations. Default: `user`. */
  readonly migrationUser?: string;
  /** Its password. Default: `password`. */
  readonly migrationPassword?: string;
  /** Number of the member that reads prefer, from 1, in the order of addresses: the number of this instance. */
  readonly preferMember?: number;
  /** Most connections of each kind to one member. Default 10. */
  readonly poolSize?: number;
  /** How long calls wait while the group has no primary. Default 15 000 ms; never beyond the deadline of their call. */
  readonly holdMs?: number;
  /** How many may wait. Default 2000. */
  readonly holdMax?: number;
  /** How long a call waits for a connection. Default 1500 ms. */
  readonly acquireMs?: number;
  /** How long a statement may take before it is killed and its connection dropped. Default 3000 ms. */
  readonly statementMs?: number;
  /** Where to count; see docs/sql.md for what. */
  readonly metrics?: { readonly registry: Registry };
  readonly clock?: Clock;
  readonly random?: Random;
}

/** How to write. */
export interface WriteOptions {
  /**
   * Makes the write happen once, however often it is asked for with the same key, and whatever happens to the connection
   * meanwhile: a repeated one answers what the first one answered. At most 255 characters. What is answered is kept as
   * JSON. Needs the platform's tables (`migrate`).
   */
  readonly key?: string;
  /**
   * The work itself finds out whether an earlier run was committed, by a row that it writes; so it may be run again when
   * the connection is lost during commit. Default: whether there is a key.
   */
  readonly canRerun?: boolean;
}

/** How to read. */
export interface ReadOptions {
  /** Default `primary`. */
  readonly consistency?: Consistency;
}

/** A database. */
export interface Database {
  /** Name of the schema. */
  readonly name: string;
  /**
   * Runs `work` in a transaction on the primary and commits. It may run several times (another primary, a deadlock): it
   * should do nothing but database work. Errors that it throws roll everything back.
   */
  write<T>(work: (tx: Tx) => Promise<T>, options?: WriteOptions): Promise<T>;
  /** Runs `work` once; each of its queries stands for itself. */
  read<T>(work: (queryable: Queryable) => Promise<T>, options?: ReadOptions): Promise<T>;
  /** The group as known now. */
  topology(): Topology;
  /** Calls `listener` after each change of the group, until the function it returns is called. */
  watch(listener: (topology: Topology) => void): () => void;
  /** A connection of its own to a member, for migrations and with their account. @internal */
  connectToMigrate(member: string): Promise<Connection>;
  /** Lets running work finish, at most `graceMs` (default 5000), then closes all connections. */
  close(graceMs?: number): Promise<void>;
}

/** Connections kept to members that may become the primary. */
const SPARE_CONNECTIONS = 2;

/** Makes a database. It looks for the group at once, but does not fail if there is none yet. */
export function createDatabase(options: DatabaseOptions): Database {
  checkOptions(options);
  const { seeds, database: name, poolSize = 10, holdMs = 15_000, holdMax = 2000 } = options;
  const { acquireMs = 1500, statementMs = 3000, clock = systemClock, random = Math.random } = options;
  const account = accountOf(options);
  const monitor = createMonitor({ seeds, account, clock });
  const hold = createHold({ monitor, max: holdMax, clock });
  const pools = createPools({
    monitor,
    account,
    database: name,
    size: poolSize,
    spare: SPARE_CONNECTIONS,
    connectMs: acquireMs,
    clock,
  });
  const metrics =
    options.metrics === undefined ? noSqlMetrics : createSqlMetrics(options.metrics.registry, name, clock);
  metrics.observe(monitor, hold);
  const shared = { monitor, hold, acquireMs, statementMs, clock, random, metrics };
  const write = createWriter({
    ...shared,
    pool: (member) => pools.writing(member),
    onCommit: (gtids) => currentTokens()?.add(name, parseGtidSet(gtids)),
  });
  const read = createReader({
    ...shared,
    pool: (member, kind) => pools.reading(member, kind),
    ...(options.preferMember !== undefined && { preferMember: options.preferMember }),
    token: () => formatGtidSet(currentTokens()?.of(name) ?? new Map()),
  });
  const scopes = createScopes();

  return {
    name,
    write: (work, { key, canRerun = key !== undefined } = {}) =>
      scopes.run("db.write", () => {
        const scoped = (tx: Tx) => scopes.transaction(() => work(tx));
        const run =
          key === undefined
            ? scoped
            : (tx: Tx) => once(tx, { scope: "", key }, jsonCodec<Awaited<ReturnType<typeof work>>>(), scoped);
        return write(run, canRerun, deadlineIn(holdMs, clock));
      }),
    read: (work, { consistency = "primary" } = {}) =>
      scopes.run("db.read", () => read(work, consistency, deadlineIn(holdMs, clock))),
    topology: () => monitor.topology,
    watch: (listener) => monitor.watch(listener),
    connectToMigrate: (member) =>
      connect({ ...migrationAccountOf(options), member, database: name, setup: UTC, timeoutMs: 5000, clock }),
    async close(graceMs = 5000) {
      await scopes.drain(graceMs, clock);
      hold.close();
      monitor.close();
      pools.close();
    },
  };
}

const UTC = "SET SESSION time_zone = '+00:00'";

function accountOf({ user, password, ca }: DatabaseOptions): Account {
  return { user, password, ...(ca !== undefined && { ca }) };
}

function migrationAccountOf(options: DatabaseOptions): Account {
  const { user, password, migrationUser = user, migrationPassword = password } = options;
  return { ...accountOf(options), user: migrationUser, password: migrationPassword };
}

function checkOptions({ seeds, database, user, preferMember, poolSize = 1 }: DatabaseOptions): void {
  if (seeds.length === 0) throw new TypeError("createDatabase: seeds must name at least one member");
  for (const seed of seeds) splitAddress(seed);
  if (database === "") throw new TypeError("createDatabase: database must name a schema");
  if (user === "") throw new TypeError("createDatabase: user must name an account");
  if (poolSize < 1) throw new TypeError("createDatabase: poolSize must be at least 1");
  if (preferMember !== undefined && !(Number.isInteger(preferMember) && preferMember >= 1)) {
    throw new TypeError("createDatabase: preferMember counts from 1");
  }
}
