import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createChild, restartDelayMs, type ChildEvents, type ChildSpec } from "./child.ts";
import { isAlive } from "./state.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "heddle-child-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const quiet: ChildEvents = {
  spawned: () => undefined,
  exited: () => undefined,
  died: () => undefined,
  recovered: () => undefined,
};

function spec(code: string, probe: ChildSpec["probe"] = async () => true): ChildSpec {
  return {
    name: "sample",
    after: [],
    command: process.execPath,
    args: ["-e", code],
    env: process.env,
    logFile: join(folder, "sample.log"),
    addresses: {},
    probe,
  };
}

test("doubles the delay between starts up to ten seconds", () => {
  expect([1, 2, 3, 6, 7, 50].map(restartDelayMs)).toEqual([200, 400, 800, 6400, 10_000, 10_000]);
});

test("starts a process that died again, and says so", async () => {
  const recovered = Promise.withResolvers<void>();
  const deaths: string[] = [];
  const child = createChild(spec("setInterval(() => {}, 1000)"), {
    ...quiet,
    died: (name, how) => deaths.push(`${name}: ${how}`),
    recovered: () => recovered.resolve(),
  });
  await child.start(new AbortController().signal);
  const [before] = child.processes();
  process.kill(before?.pid ?? 0, "SIGKILL");
  await recovered.promise;
  const [after] = child.processes();
  expect(deaths).toEqual(["sample: SIGKILL"]);
  expect(after).toMatchObject({ restarts: 1 });
  expect(after?.pid).not.toBe(before?.pid);
  await child.stop();
  expect(isAlive(after ?? { pid: 0, started: "" })).toBe(false);
  expect(child.processes()).toEqual([]);
});

test("gives up on a process that never becomes ready, and shows the end of its log", async () => {
  const child = createChild(
    spec("console.error('no such table'); process.exit(7)", async () => false),
    quiet,
  );
  await expect(child.start(new AbortController().signal)).rejects.toThrow(/exit status 7.*no such table/s);
  expect(readFileSync(join(folder, "sample.log"), "utf8").match(/no such table/g)).toHaveLength(3);
});

test("can be stopped while it is starting", async () => {
  const child = createChild(
    spec("setInterval(() => {}, 1000)", async () => false),
    quiet,
  );
  const started = child.start(new AbortController().signal);
  await Promise.all([expect(started).rejects.toThrow("stopped before it was ready"), child.stop()]);
});
