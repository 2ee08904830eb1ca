/** `npm start` and its siblings, as a user types them. */
import { spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { isAlive, readState } from "../../infra/local/state.ts";
import {
  createStackPlace,
  killProcess,
  launch,
  processesOf,
  runLauncher,
  stopLauncher,
  until,
  type LaunchedStack,
  type StackPlace,
} from "../support/launched-stack.ts";
import { createShop } from "../support/shop.ts";

let place: StackPlace;
beforeAll(async () => {
  place = await createStackPlace();
});
afterAll(() => place.remove());

describe("wrong input starts nothing", () => {
  test("bad YAML and unknown keys are named, exit status 64", async () => {
    expect(await startWith("local: [")).toMatchObject({
      code: 64,
      output: expect.stringContaining("at line 1"),
    });
    const { code, output } = await startWith("locl: {}\nlocal: { prots: {} }");
    expect(code).toBe(64);
    expect(output).toContain('locl: unknown key "locl"');
    expect(output).toContain('local.prots: unknown key "prots"');
  });

  test("an occupied port is named with its key", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => holder.once("listening", resolve));
    const { port } = holder.address() as AddressInfo;
    const { code, output } = await startWith(
      stringify({ local: { folder: place.folder, ports: { ...place.ports, kitchen: port } } }),
    );
    holder.close();
    expect(code).toBe(64);
    expect(output).toContain(`port ${port} of kitchen is in use`);
    expect(output).toContain("set local.ports.kitchen (HEDDLE__LOCAL__PORTS__KITCHEN=NNNN)");
  });

  test("a folder that cannot be used is named with its key", async () => {
    const { configFile, ports } = place;
    const { code, output } = await startWith(stringify({ local: { folder: configFile, ports } }));
    expect(code).toBe(64);
    expect(output).toMatch(/folder .* cannot be used: .*; mend it, or set local\.folder/);
  });

  test("unknown arguments show the usage", async () => {
    const usage = expect.stringContaining("start|status|stop|reset") as string;
    expect(await runLauncher("begin")).toMatchObject({ code: 64, output: usage });
    expect(await runLauncher("start", "--fast")).toMatchObject({ code: 64, output: usage });
  });
});

test("status and stop say so when nothing runs", async () => {
  const notRunning = expect.stringContaining("not running") as string;
  expect(await runLauncher("status", "--config", place.configFile)).toMatchObject({
    code: 3,
    output: notRunning,
  });
  expect(await runLauncher("stop", "--config", place.configFile)).toMatchObject({
    code: 0,
    output: notRunning,
  });
});

describe("the whole stack", { timeout: 120_000 }, () => {
  let stack: LaunchedStack;
  beforeAll(async () => {
    stack = await launch(place);
  });
  afterAll(() => stack.launcher.kill("SIGKILL"));

  test("prints what runs where, and calls that work when pasted", async () => {
    const processes = processesOf(place);
    expect(processes.length).toBeGreaterThanOrEqual(15);
    for (const { name } of processes) expect(stack.output()).toContain(name);
    const calls = stack.output().match(/(?<!grp)curl .*/g) ?? [];
    expect(calls).toHaveLength(6);
    for (const call of calls) expect(await shell(call), call).not.toMatch(/"code": ?\d/);
  });

  test("status shows every process as ready, and roles of MySQL members", async () => {
    const { code, output } = await runLauncher("status", "--config", place.configFile);
    expect(output).not.toMatch(/not ready|dead/);
    expect(output).toMatch(/^mysql-\d .* primary /m);
    expect(output).toMatch(/^mysql-\d .* secondary /m);
    expect(code).toBe(0);
  });

  test("instances of a service read from different members, and status shows it", async () => {
    const shop = createShop(place.url);
    const order = { consumerId: await shop.consumer(), lines: [{ sku: "cola", quantity: 1 }] };
    const headers = { "content-type": "application/json" };
    const url = `${place.url}/v1/orders`;
    const placed = await fetch(url, { method: "POST", headers, body: JSON.stringify(order) });
    const token = placed.headers.get("x-heddle-db-token") ?? "";
    const read = () => shop.call("/v1/orders", undefined, { headers: { "x-heddle-db-token": token } });
    // Which member an instance prefers follows from the order of their addresses; in time most reads come from that one.
    await until(async () => {
      await Promise.all(Array.from({ length: 40 }, read));
      const { output } = await runLauncher("status", "--config", place.configFile);
      const [one, two] = [1, 2].map(
        (number) => new RegExp(`^order-${number} .* reads (\\S+) `, "m").exec(output)?.[1],
      );
      return one !== undefined && two !== undefined && one !== two;
    }, "the instances of order to read from different members");
  });

  test("a second start says that the first one runs", async () => {
    const runs = expect.stringContaining("runs here already") as string;
    expect(await runLauncher("start", "--config", place.configFile)).toMatchObject({
      code: 64,
      output: runs,
    });
  });

  test("a killed process is reported and started again", async () => {
    await killProcess(place, "kitchen-1");
    await until(() => stack.output().includes("kitchen-1 is ready again"), "the new kitchen to be ready");
    expect(stack.output()).toContain("kitchen-1 died (SIGKILL)");
  });

  test("a kill -9 of the launcher leaves nothing behind, and loses no data", async () => {
    const before = processesOf(place);
    stack.launcher.kill("SIGKILL");
    await until(() => !before.some(isAlive), "the processes of the dead launcher to end");
    stack = await launch(place);
    const answer = await fetch(`${place.url}/v1/orders`);
    const { orders } = (await answer.json()) as { orders: readonly { readonly state: string }[] };
    expect(orders.map(({ state }) => state)).toContain("ORDER_STATE_APPROVED");
  });

  test("Ctrl-C leaves nothing behind but the data, and reset takes that too", async () => {
    const before = processesOf(place);
    await stopLauncher(stack);
    expect(before.filter(isAlive)).toEqual([]);
    expect(readState(place.folder)).toBeUndefined();
    expect(readdirSync(place.folder)).toContain("data");
    expect(await runLauncher("reset", "--config", place.configFile)).toMatchObject({ code: 0 });
    expect(readdirSync(place.folder)).not.toContain("data");
  });
});

function startWith(yaml: string) {
  const file = join(place.configFile, "..", "wrong.yaml");
  writeFileSync(file, yaml);
  return runLauncher("start", "--config", file);
}

function shell(command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("sh", ["-c", command], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.once("close", (code) =>
      code === 0 ? resolve(output) : reject(new Error(`${command}: exit ${code}`)),
    );
  });
}
