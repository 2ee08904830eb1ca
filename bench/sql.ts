/**
 * What `mesh/sql` costs over a bare pool of mysql2, how fast a read with a consistency token is, and what reading from all
 * members brings.
 *
 *     npm run bench -- sql [--queries 20000] [--rounds 5]
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { createPool, type Pool, type PoolConnection } from "mysql2";
import type { Pool as PromisePool } from "mysql2/promise";
import { Registry } from "prom-client";
import { startTestGroup, type TestGroup } from "../infra/mysql/testing.ts";
import { inSession } from "../mesh/sql/consistency.ts";
import { createDatabase, type Consistency, type Database } from "../mesh/sql/database.ts";
import { migrate } from "../mesh/sql/migrate.ts";

const SCHEMA = "order";
const AT_A_TIME = 16;
const ROWS = 1000;
const SELECT = "SELECT id, name, price FROM items WHERE id = ?";
const UPDATE = "UPDATE items SET price = price + 1 WHERE id = ?";

/** Starts a group of three and prints the tables. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      queries: { type: "string", default: "20000" },
      rounds: { type: "string", default: "5" },
      reader: { type: "string" },
    },
  });
  const queries = Number(values.queries);
  if (values.reader !== undefined) return readAlone(JSON.parse(values.reader) as ReaderPlan);
  const group = await startTestGroup({ members: 3, durable: true });
  const databases: Database[] = [];
  try {
    const password = await group.password(SCHEMA);
    // With metrics, as services have it.
    const metrics = { registry: new Registry() };
    const db = createDatabase({ seeds: group.seeds, database: SCHEMA, user: SCHEMA, password, metrics });
    databases.push(db);
    await fill(db);
    await overhead(db, password, queries, Number(values.rounds));
    await tokenReads(group, password, databases);
    await spread(group, password, queries);
  } finally {
    await Promise.all(databases.map((db) => db.close(100)));
    await group.stop();
  }
}

async function fill(db: Database): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "heddle-bench-"));
  await writeFile(
    join(folder, "001_items.sql"),
    "CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, price INT NOT NULL);",
  );
  await migrate(db, folder);
  await rm(folder, { recursive: true });
  const rows = Array.from({ length: ROWS }, (_, id) => [id, `item number ${id}`, id * 7]);
  await db.write(async (tx) => {
    for (const row of rows) await tx.execute("INSERT INTO items VALUES (?)", [row]);
  });
}

/** The same statements on the same member, by pools of mysql2 and by the database; CPU time of this process. */
async function overhead(db: Database, password: string, queries: number, rounds: number): Promise<void> {
  const [host, port] = db.topology().writer!.split(":") as [string, string];
  const account = { host, port: Number(port), user: SCHEMA, password, database: SCHEMA };
  const bare = createPool({ ...account, connectionLimit: 10 });
  const pool = bare.promise();
  const results = await interleaved(
    {
      "one read": {
        "mysql2, promises": (id) => pool.query(SELECT, [id]),
        "mysql2, callbacks": (id) => called((done) => bare.query(SELECT, [id], done)),
        "mesh/sql": (id) => db.read((q) => q.query(SELECT, [id])),
      },
      "one transaction of one statement": {
        "mysql2, promises": (id) => writeBare(pool, id),
        "mysql2, callbacks": (id) => writeCalled(bare, id),
        "mesh/sql": (id) => db.write((tx) => tx.execute(UPDATE, [id])),
      },
    },
    queries,
    rounds,
  );
  await pool.end();
  console.log(`CPU time of the client, median of ${rounds} interleaved rounds, ${AT_A_TIME} at a time`);
  console.table(
    Object.entries(results).map(([operation, us]) => ({
      operation,
      ...Object.fromEntries(Object.entries(us).map(([by, each]) => [by, `${each.toFixed(1)} µs`])),
      "over promises": percent(us["mesh/sql"]!, us["mysql2, promises"]!),
      "over callbacks": percent(us["mesh/sql"]!, us["mysql2, callbacks"]!),
    })),
  );
}

function percent(ours: number, theirs: number): string {
  return `${(100 * (ours / theirs - 1)).toFixed(1)} %`;
}

async function writeBare(pool: PromisePool, id: number): Promise<void> {
  const connection = await pool.getConnection();
  try {
    await connection.beginTransaction();
    await connection.query(UPDATE, [id]);
    await connection.commit();
  } finally {
    connection.release();
  }
}

async function writeCalled(pool: Pool, id: number): Promise<void> {
  const connection = await called<PoolConnection>((done) => pool.getConnection(done));
  try {
    await called((done) => connection.query("START TRANSACTION", done));
    await called((done) => connection.query(UPDATE, [id], done));
    await called((done) => connection.query("COMMIT", done));
  } finally {
    connection.release();
  }
}

function called<T>(start: (done: (error: Error | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error === null ? resolve(value) : reject(error)));
  });
}

type Operation = (id: number) => Promise<unknown>;

/** Rounds of all cases alternate, so that other load on the machine hits all alike. In microseconds. */
async function interleaved(
  cases: Readonly<Record<string, Readonly<Record<string, Operation>>>>,
  queries: number,
  rounds: number,
): Promise<Record<string, Record<string, number>>> {
  const flat = Object.entries(cases).flatMap(([what, ways]) =>
    Object.entries(ways).map(([by, operate]) => ({ what, by, operate, costs: [] as number[] })),
  );
  for (let round = -1; round < rounds; round++) {
    for (const { what, operate, costs } of flat) {
      const count = what.includes("transaction") ? queries / 10 : queries;
      const before = process.cpuUsage();
      await many(count, AT_A_TIME, operate);
      const { user, system } = process.cpuUsage(before);
      if (round >= 0) costs.push((user + system) / count);
    }
  }
  const results: Record<string, Record<string, number>> = {};
  for (const { what, by, costs } of flat) (results[what] ??= {})[by] = median(costs);
  return results;
}

async function many(
  count: number,
  atATime: number,
  operate: (id: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      while (next < count) await operate(next++ % ROWS);
    }),
  );
}

/** Write by one instance, then read what was written on another member, one after the other. */
async function tokenReads(group: TestGroup, password: string, databases: Database[]): Promise<void> {
  const registry = new Registry();
  const account = { seeds: group.seeds, database: SCHEMA, user: SCHEMA, password };
  const db = createDatabase({ ...account, preferMember: 2, metrics: { registry } });
  databases.push(db);
  const times: Record<"write" | "wait for the token and read" | "read again", number[]> = {
    write: [],
    "wait for the token and read": [],
    "read again": [],
  };
  let stale = 0;
  for (let i = 0; i < 1000; i++) {
    await inSession(async () => {
      const write = () => db.write((tx) => tx.execute("UPDATE items SET price = ? WHERE id = 1", [i]));
      const read = async () => {
        const [row] = await db.read((q) => q.query<{ price: number }>(SELECT, [1]), {
          consistency: "session",
        });
        if (row!.price !== i) stale++;
      };
      times.write.push(await timed(write));
      times["wait for the token and read"].push(await timed(read));
      times["read again"].push(await timed(read));
    });
  }
  console.log(`Read your writes on another member, 1000 in a row: ${stale} stale`);
  console.table(
    Object.entries(times).map(([operation, all]) => ({
      operation,
      median: `${median(all).toFixed(2)} ms`,
      p99: `${quantile(all, 0.99).toFixed(2)} ms`,
    })),
  );
}

async function timed(operate: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await operate();
  return performance.now() - begin;
}

interface ReaderPlan {
  readonly seeds: readonly string[];
  readonly password: string;
  readonly preferMember: number;
  readonly consistency: Consistency;
  readonly queries: number;
}

interface ReaderResult {
  readonly perSecond: number;
  /** Reads by the member that answered. */
  readonly members: Readonly<Record<string, number>>;
}

/** Three instances read at the same time, each a process of its own: all from the primary, then each from its member. */
async function spread(group: TestGroup, password: string, queries: number): Promise<void> {
  const rows: Record<string, string>[] = [];
  for (const consistency of ["primary", "eventual"] as const) {
    const results = await Promise.all(
      [1, 2, 3].map((preferMember) =>
        readInProcess({ seeds: group.seeds, password, preferMember, consistency, queries }),
      ),
    );
    const total = results.reduce((sum, { perSecond }) => sum + perSecond, 0);
    const members = group.seeds.map((seed) => sum(results.map(({ members }) => members[seed] ?? 0)));
    rows.push({
      consistency,
      "reads/s of three instances": total.toFixed(0),
      "share of each member": members
        .map((count) => `${((100 * count) / sum(members)).toFixed(0)} %`)
        .join(" · "),
    });
  }
  console.log("Reads of three instances on this machine, which shares its cores among clients and members");
  console.table(rows);
}

async function readInProcess(plan: ReaderPlan): Promise<ReaderResult> {
  const main = join(import.meta.dirname, "main.ts");
  const args = [main, "sql", "--reader", JSON.stringify(plan)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as ReaderResult;
}

async function readAlone({ consistency, queries, ...account }: ReaderPlan): Promise<void> {
  const registry = new Registry();
  const db = createDatabase({ ...account, database: SCHEMA, user: SCHEMA, metrics: { registry } });
  const read = (id: number) => db.read((q) => q.query(SELECT, [id]), { consistency });
  await many(1000, AT_A_TIME, read);
  registry.resetMetrics();
  const seconds = (await timed(() => many(queries, AT_A_TIME, read))) / 1000;
  const { values } = await registry.getSingleMetric("mesh_db_reads_total")!.get();
  const members = Object.fromEntries(values.map(({ labels, value }) => [labels["member"], value]));
  console.log(
    JSON.stringify({ perSecond: queries / seconds, members } satisfies {
      perSecond: number;
      members: unknown;
    }),
  );
  await db.close(100);
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], at: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(at * values.length)] ?? 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
