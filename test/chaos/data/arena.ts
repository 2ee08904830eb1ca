/** A group of three with a schema and several instances of a service on it, faults to inject, and what must hold after. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createConnection, type Connection } from "mysql2/promise";
import { expect } from "vitest";
import { startTestGroup, type TestGroup } from "../../../infra/mysql/testing.ts";
import { sleep } from "../../../mesh/clock.ts";
import { createDatabase, type Database } from "../../../mesh/sql/database.ts";
import { migrate } from "../../../mesh/sql/migrate.ts";
import { LOAD_TABLES, type Figures, type Latency } from "./load.ts";

/** Where faults are injected. */
export interface Arena {
  readonly group: TestGroup;
  /** Databases as three instances of a service have them: each prefers another member. */
  readonly instances: readonly Database[];
  /** `host:port` of the primary; waits for one. */
  primary(): Promise<string>;
  /** Pid of a member's process. */
  pid(member: string): number;
  /** Resolves once all members are ONLINE and may be used. */
  whole(): Promise<void>;
  close(): Promise<void>;
}

const SCHEMA = "order";
// A primary that is shut down while it commits needs a minute to end.
const WHOLE_LIMIT_MS = 180_000;

/** Starts a group that keeps every promise of durability. */
export async function startArena(): Promise<Arena> {
  const group = await startTestGroup({ members: 3, durable: true });
  const password = await group.password(SCHEMA);
  const folder = await mkdtemp(join(tmpdir(), "heddle-chaos-"));
  await writeFile(join(folder, "001_load.sql"), LOAD_TABLES);
  const instances = [1, 2, 3].map((preferMember) =>
    createDatabase({ seeds: group.seeds, database: SCHEMA, user: SCHEMA, password, preferMember }),
  );
  await migrate(instances[0]!, folder);
  await rm(folder, { recursive: true });
  const arena: Arena = {
    group,
    instances,
    primary: () => eventually("a primary", () => instances[0]!.topology().writer),
    pid(member) {
      const pid = group.pid(Number(member.split(":")[1]));
      if (pid === undefined) throw new Error(`${member} does not run`);
      return pid;
    },
    whole: () =>
      eventually("a whole group", () =>
        group.group.status().health === "whole" && instances.every((db) => db.topology().readers.length === 3)
          ? true
          : undefined,
      ).then(() => undefined),
    async close() {
      await Promise.all(instances.map((db) => db.close(1000)));
      await group.stop();
    },
  };
  await arena.whole();
  return arena;
}

async function eventually<T>(what: string, look: () => T | undefined): Promise<T> {
  const until = performance.now() + WHOLE_LIMIT_MS;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (performance.now() > until) throw new Error(`${what} was not there within ${WHOLE_LIMIT_MS / 1000} s`);
    await sleep(20);
  }
}

/** `kill -9`. Its supervisor starts it again. */
export function kill(arena: Arena, member: string): void {
  process.kill(arena.pid(member), "SIGKILL");
}

/** Freezes a process for a while; its connections stay open and say nothing. */
export function freeze(arena: Arena, member: string, forMs: number): void {
  const pid = arena.pid(member);
  process.kill(pid, "SIGSTOP");
  setTimeout(() => process.kill(pid, "SIGCONT"), forMs);
}

/** SIGTERM to the server: an orderly end, but of a primary. */
export function shutDown(arena: Arena, member: string): void {
  process.kill(arena.pid(member), "SIGTERM");
}

/** What was acknowledged against what is there. */
export interface Verdict {
  readonly acknowledged: number;
  readonly lost: number;
  readonly duplicated: number;
  /** Whether all members have the same rows. */
  readonly membersAgree: boolean;
}

/** Compares what clients were told with the rows of every member. The group must be whole and the clients stopped. */
export async function verify(arena: Arena, { acknowledged }: Figures): Promise<Verdict> {
  const primary = await arena.primary();
  const executed = await withConnection(arena, primary, async (connection) => {
    const [rows] = await connection.query("SELECT @@global.gtid_executed AS executed");
    return (rows as { executed: string }[])[0]!.executed;
  });
  const members = await Promise.all(arena.group.seeds.map((member) => rowsOf(arena, member, executed)));
  const times = new Map<string, number>();
  for (const id of members[0]!.ids) times.set(id, (times.get(id) ?? 0) + 1);
  const lost = acknowledged.flatMap((id, i) => (times.has(id) ? [] : [i]));
  if (lost.length > 0) console.log(`lost: the writes ${lost.join(", ")} of ${acknowledged.length}`);
  return {
    acknowledged: acknowledged.length,
    lost: lost.length,
    duplicated: [...times.values()].filter((count) => count > 1).length,
    membersAgree: members.every(({ checksum }) => checksum === members[0]!.checksum),
  };
}

/** Rows of a member, once it has applied all of `executed`. */
function rowsOf(arena: Arena, member: string, executed: string) {
  return withConnection(arena, member, async (connection) => {
    const [waited] = await connection.query("SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 60) AS late", [executed]);
    expect(waited).toEqual([{ late: 0 }]);
    const [ids] = await connection.query("SELECT id FROM writes ORDER BY row_id");
    const [sums] = await connection.query("CHECKSUM TABLE writes, counters, idempotency");
    return { ids: (ids as { id: string }[]).map(({ id }) => id), checksum: JSON.stringify(sums) };
  });
}

async function withConnection<T>(
  arena: Arena,
  member: string,
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  const [host = "", port = ""] = member.split(":");
  const password = await arena.group.password(SCHEMA);
  const account = { user: SCHEMA, password, database: SCHEMA };
  const connection = await createConnection({ host, port: Number(port), ...account });
  try {
    return await use(connection);
  } finally {
    await connection.end();
  }
}

/** The promises that hold whatever happened. */
export function expectKept(verdict: Verdict, figures: Figures): void {
  expect(verdict).toMatchObject({ lost: 0, duplicated: 0, membersAgree: true });
  expect(figures.stale).toBe(0);
}

/** One line of figures. */
export function line(what: string, figures: Figures): string {
  const { writeMs, tokenReadMs, plainReadMs } = figures;
  return `${what.padEnd(34)} slowest write ${ms(writeMs)}, token read ${ms(tokenReadMs)}, plain read ${ms(plainReadMs)}`;
}

function ms(latency: Latency): string {
  return `${latency.maxMs.toFixed(0)} ms`;
}

/** Prints what the clients were told and what is there. */
export function report(verdict: Verdict, figures: Figures): void {
  const { writeMs, tokenReadMs, plainReadMs, stale, errors } = figures;
  const quantiles = (latency: Latency) =>
    `median ${latency.quantileMs(0.5).toFixed(2)} ms, p99 ${latency.quantileMs(0.99).toFixed(1)} ms`;
  console.log(
    [
      `${verdict.acknowledged} writes acknowledged (${quantiles(writeMs)}): ${verdict.lost} lost, ${verdict.duplicated} duplicated`,
      `${tokenReadMs.count} token reads (${quantiles(tokenReadMs)}): ${stale} stale`,
      `${plainReadMs.count} plain reads (${quantiles(plainReadMs)})`,
      `rows of all members equal: ${verdict.membersAgree}; errors seen by callers: ${errors.size === 0 ? "none" : ""}`,
      ...[...errors].map(([error, count]) => `  ${count} × ${error}`),
    ].join("\n"),
  );
}
