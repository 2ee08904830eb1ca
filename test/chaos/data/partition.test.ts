/**
 * The primary is cut off from the others and from its clients: the majority goes on with another primary, the one that is
 * alone stops taking writes, and after the cut is healed it comes back without a row of its own.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { openSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createConnection } from "mysql2/promise";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AGENT_ACCOUNT, passwordSql, REPLICATION_ACCOUNT } from "../../../infra/mysql/accounts.ts";
import { memberCnf } from "../../../infra/mysql/cnf.ts";
import { leadGroup, type Lead } from "../../../infra/mysql/lead.ts";
import { createMember, type Member } from "../../../infra/mysql/member.ts";
import { copyTemplate, ensureTemplate } from "../../../infra/mysql/template.ts";
import { ensureMysql } from "../../../infra/tools/mysql.ts";
import { sleep } from "../../../mesh/clock.ts";
import { createDatabase, type Database } from "../../../mesh/sql/database.ts";
import { migrate } from "../../../mesh/sql/migrate.ts";
import { LOAD_TABLES, startLoad } from "./load.ts";
import { createNetwork, whyNoNamespaces, type Network } from "../../support/namespaces.ts";

const MAJORITY_WRITES_MS = 9_000;
const ISOLATED_REFUSES_MS = 12_000;
const WHOLE_AFTER_HEAL_MS = 20_000;
const CUT_MS = 20_000;
const PORT = 3306;
const PASSWORD = "partition-test";

const impossible = whyNoNamespaces();
if (impossible !== undefined) console.log(`The partition test is skipped: ${impossible}`);

let network: Network;
let folder: string;
let servers: ChildProcess[] = [];
let members: Member[] = [];
let lead: Lead;
const databases: Database[] = [];

const socket = (member: number) => join(folder, `n${member}.sock`);
const seeds = () => network.addresses.map((address) => `${address}:${PORT}`);

beforeAll(async () => {
  if (impossible !== undefined) return;
  network = createNetwork(3);
  folder = await mkdtemp(join(tmpdir(), "heddle-cut-"));
  servers = await Promise.all(network.addresses.map((_, member) => startServer(member)));
  await Promise.all(network.addresses.map((_, member) => setPasswords(member)));
  members = seeds().map((name, i) =>
    createMember({ name, socket: socket(i) }, { agent: PASSWORD, replication: PASSWORD }),
  );
  const quiet = () => undefined;
  lead = leadGroup(members, { decided: quiet, primary: quiet, failed: quiet });
  await lead.whole(AbortSignal.timeout(120_000));
  await writeFile(join(folder, "001_load.sql"), LOAD_TABLES);
  for (const preferMember of [1, 2, 3]) {
    const account = { database: "order", user: "order", password: PASSWORD };
    databases.push(createDatabase({ seeds: seeds(), ...account, preferMember }));
  }
  await migrate(databases[0]!, folder);
});

afterAll(async () => {
  if (impossible !== undefined) return;
  await Promise.all(databases.map((db) => db.close(1000)));
  await lead?.stop(0);
  for (const member of members) member.close();
  for (const server of servers) server.kill("SIGKILL");
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once("exit", resolve))));
  network?.remove();
  await rm(folder, { recursive: true, force: true });
});

async function startServer(member: number): Promise<ChildProcess> {
  const tool = await ensureMysql();
  const dataFolder = join(folder, `n${member}`);
  await copyTemplate(await ensureTemplate(tool), dataFolder);
  const cnf = join(folder, `n${member}.cnf`);
  await writeFile(cnf, cnfOf(member, dataFolder, tool.root));
  const log = openSync(join(folder, `n${member}.log`), "w");
  const [command, ...args] = [...network.inside(member), tool.executable, `--defaults-file=${cnf}`];
  return spawn(command, args, { stdio: ["ignore", log, log] });
}

/** The configuration that every group here has, with the addresses of the namespaces instead of loopback. */
function cnfOf(member: number, dataFolder: string, root: string | undefined): string {
  const numbered = network.addresses.map((_, i) => 10_000 + i);
  let text = memberCnf({
    number: member + 1,
    dataFolder,
    socket: socket(member),
    port: numbered[member]!,
    groupName: "7e1d3a52-5a53-4c6e-9f6d-0b7f6d9f1a01",
    groupPorts: numbered,
    root,
  });
  for (const [i, port] of numbered.entries()) {
    text = text
      .replaceAll(`127.0.0.1:${port}`, `${network.addresses[i]}:${PORT}`)
      .replaceAll(`=${port}\n`, `=${PORT}\n`);
  }
  return text.replaceAll("127.0.0.1", network.addresses[member]!);
}

async function setPasswords(member: number): Promise<void> {
  const connection = await eventually(() => createConnection({ socketPath: socket(member), user: "root" }));
  const accounts = [AGENT_ACCOUNT, REPLICATION_ACCOUNT, "order"].map((name) => [name, PASSWORD] as const);
  const statements = [
    "SET SESSION sql_log_bin = 0",
    "SET GLOBAL super_read_only = OFF",
    ...passwordSql(Object.fromEntries(accounts)),
    "SET GLOBAL super_read_only = ON",
  ];
  for (const statement of statements) await connection.query(statement);
  await connection.end();
}

async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  const until = performance.now() + 60_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > until) throw error;
      await sleep(100);
    }
  }
}

/** Writes to a member directly, as a client on its side of the cut would, until it is refused. */
async function untilRefused(member: number): Promise<{ readonly id: string; readonly error: string }> {
  const connection = await createConnection({
    socketPath: socket(member),
    user: "order",
    password: PASSWORD,
    database: "order",
  });
  const id = randomUUID();
  try {
    await connection.query("INSERT INTO writes (id) VALUES (?)", [id]);
    return { id, error: "none: it was committed" };
  } catch (error) {
    return { id, error: (error as Error).message };
  } finally {
    connection.destroy();
  }
}

async function idsOn(member: number): Promise<Set<string>> {
  const connection = await createConnection({
    socketPath: socket(member),
    user: "order",
    password: PASSWORD,
    database: "order",
  });
  const [rows] = await connection.query("SELECT id FROM writes");
  await connection.end();
  return new Set((rows as { id: string }[]).map(({ id }) => id));
}

test.skipIf(impossible !== undefined)("the primary is cut off for 20 s", { timeout: 300_000 }, async () => {
  const load = startLoad(databases, { writers: 12, tokenReaders: 8, plainReaders: 4 });
  load.pace(100);
  await sleep(3000);
  const primary = databases[0]!.topology().writer!;
  const member = seeds().indexOf(primary);
  const begin = performance.now();
  network.link(member, "down");
  const refused = untilRefused(member).then((found) => ({ ...found, afterMs: performance.now() - begin }));
  const majorityMs = await load.firstWriteElsewhere(primary);
  const { id, error, afterMs } = await refused;
  await sleep(Math.max(0, CUT_MS - (performance.now() - begin)));
  const healed = performance.now();
  network.link(member, "up");
  // It has to catch up while the others go on.
  load.pace(200);
  await lead.whole(AbortSignal.timeout(120_000));
  const wholeMs = performance.now() - healed;
  await sleep(2000);
  await load.stop();
  await sleep(1000);
  const rows = await Promise.all(network.addresses.map((_, each) => idsOn(each)));
  const { acknowledged, errors, stale } = load.figures;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  console.log(
    [
      `majority writes after ${seconds(majorityMs)}, isolated member refuses after ${seconds(afterMs)} (${error}), whole ${seconds(wholeMs)} after the heal`,
      `${acknowledged.length} writes acknowledged, ${acknowledged.filter((each) => !rows[0]!.has(each)).length} lost; ${load.figures.tokenReadMs.count} token reads, ${stale} stale; errors: ${[...errors].join("; ") || "none"}`,
    ].join("\n"),
  );

  expect(majorityMs).toBeLessThanOrEqual(MAJORITY_WRITES_MS);
  expect(afterMs).toBeLessThanOrEqual(ISOLATED_REFUSES_MS);
  expect(wholeMs).toBeLessThanOrEqual(WHOLE_AFTER_HEAL_MS);
  expect(rows.map((ids) => ids.has(id))).toEqual([false, false, false]);
  for (const ids of rows.slice(1)) expect(ids).toEqual(rows[0]);
  expect(acknowledged.filter((each) => !rows[0]!.has(each))).toEqual([]);
  expect(stale).toBe(0);
  expect([...errors]).toEqual([]);
});
