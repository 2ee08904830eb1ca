// A group of three real members: how it starts, hands over, survives the death of one and of all, and stops.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createConnection, type Connection, type RowDataPacket } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { startTestGroup, type TestGroup } from "../../infra/mysql/testing.ts";

let root: string;
let running: TestGroup;
let lines: string[] = [];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "heddle-group-"));
  running = await start();
  await on(primary(), (connection) => connection.query("CREATE TABLE entry (id INT PRIMARY KEY) "));
});
afterAll(async () => {
  await running.stop();
  await rm(root, { recursive: true });
});

function start(): Promise<TestGroup> {
  const folder = join(root, "data", "mysql");
  return startTestGroup({ members: 3, folder, durable: true, report: (line) => lines.push(line) });
}

describe("a group of three", () => {
  test("has one member that takes writes", () => {
    const { health, members } = running.group.status();
    expect(health).toBe("whole");
    expect(members.map(({ state, role, isReadOnly }) => `${state} ${role} ${isReadOnly}`)).toEqual([
      "ONLINE PRIMARY false",
      "ONLINE SECONDARY true",
      "ONLINE SECONDARY true",
    ]);
  });

  test("lets a service into its own schema only, and writes on the primary only", async () => {
    await expect(on(primary(), (one) => one.query("SELECT * FROM inventory.product"))).rejects.toThrow(
      "denied",
    );
    await expect(on(secondary(), insert(0))).rejects.toThrow("read-only");
    const password = await running.password("order");
    expect(lines.join()).not.toContain(password);
    expect(await readFile(join(running.folder, "mysql-1.log"), "utf8")).not.toContain(password);
  });

  test("hands over to the member that an operator names, and shows it", async () => {
    const { stdout: before } = await commandLine("status");
    expect(before).toMatch(new RegExp(`${primary()} +ONLINE +PRIMARY +taken`));
    const target = portOf(secondary());
    const { stdout } = await commandLine("switchover", String(target));
    expect(stdout).toMatch(new RegExp(`127.0.0.1:${target} +ONLINE +PRIMARY +taken`));
    await vi.waitFor(() => expect(portOf(primary())).toBe(target), { timeout: 5000 });
    await expect(commandLine("bootstrap", "--force", String(target))).rejects.toThrow("nothing to force");
  });

  test("replaces a primary that is killed, keeps what it had acknowledged, and takes it back", async () => {
    const old = primary();
    await on(old, insert(1));
    const killedAt = performance.now();
    kill(old);
    await vi.waitFor(() => expect(primary()).not.toBe(old), { timeout: 15_000 });
    await on(primary(), insert(2));
    expect(performance.now() - killedAt).toBeLessThan(15_000);
    await whole();
    expect(await idsOn(old)).toEqual([1, 2]);
  });

  test("comes back after all members were killed under load, without losing an acknowledged write", async () => {
    const acknowledged: number[] = [];
    const loaded = Promise.withResolvers<void>();
    const writing = on(primary(), async (connection) => {
      for (let id = 100; ; id++) {
        await insert(id)(connection);
        if (acknowledged.push(id) === 200) loaded.resolve();
      }
    });
    await loaded.promise;
    for (const { name } of running.group.status().members) kill(name);
    await expect(writing).rejects.toThrow();
    lines = [];
    await vi.waitFor(() => expect(lines.join("\n")).toMatch(/begins the group/), { timeout: 15_000 });
    await whole();
    for (const { name } of running.group.status().members) {
      expect(await idsOn(name)).toEqual(expect.arrayContaining(acknowledged));
    }
  });

  test("stops within seconds, and starts again with all its data", async () => {
    const ids = await idsOn(primary());
    const begin = performance.now();
    await running.stop();
    expect(performance.now() - begin).toBeLessThan(12_000);
    expect(running.group.processes()).toEqual([]);
    running = await start();
    expect(await idsOn(primary())).toEqual(ids);
  });
});

function primary(): string {
  const found = running.group.status().members.find(({ isReadOnly }) => !isReadOnly);
  if (found === undefined) throw new Error("no primary");
  return found.name;
}

function secondary(): string {
  return running.group.status().members.find(({ role }) => role === "SECONDARY")?.name ?? "";
}

function portOf(name: string): number {
  return Number(name.split(":")[1]);
}

function kill(name: string): void {
  process.kill(running.pid(portOf(name)) ?? 0, "SIGKILL");
}

async function whole(): Promise<void> {
  const { group } = running;
  await vi
    .waitFor(() => expect(group.status().health).not.toBe("whole"), { timeout: 5000 })
    .catch(() => undefined);
  await vi.waitFor(() => expect(group.status()).toMatchObject({ health: "whole" }), {
    timeout: 40_000,
    interval: 100,
  });
}

/** Works on a member as the order service does. */
async function on<T>(name: string, work: (connection: Connection) => Promise<T>): Promise<T> {
  const password = await running.password("order");
  const where = { host: "127.0.0.1", port: portOf(name), user: "order", database: "order", password };
  const connection = await createConnection(where);
  try {
    return await work(connection);
  } finally {
    connection.destroy();
  }
}

function insert(id: number) {
  return (connection: Connection) => connection.query("INSERT INTO entry VALUES (?)", [id]);
}

/** Waits until the member has applied all that the primary has. */
async function idsOn(name: string): Promise<number[]> {
  const executed = running.group.status().members.find(({ isReadOnly }) => !isReadOnly)?.executed ?? "";
  return on(name, async (connection) => {
    await connection.query("SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 10)", [executed]);
    const [rows] = await connection.query<RowDataPacket[]>("SELECT id FROM entry ORDER BY id");
    return rows.map((row) => row["id"] as number);
  });
}

function commandLine(...args: string[]) {
  const env = { ...process.env, HEDDLE__LOCAL__FOLDER: root };
  return promisify(execFile)(process.execPath, ["infra/mysql/main.ts", ...args], { env });
}
