import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLog } from "../../mesh/observe/log.ts";
import { instanceOf } from "../../mesh/registry/testing.ts";
import { createSnapshotFile, WRITE_INTERVAL_MS } from "./snapshot-file.ts";

let folder: string;
let path: string;
let timers: { delayMs: number; fire: () => void }[] = [];

const clock = {
  now: () => 0,
  monotonic: () => 0,
  after(delayMs: number, fire: () => void) {
    const timer = { delayMs, fire };
    timers.push(timer);
    return () => void timers.splice(timers.indexOf(timer), 1);
  },
};
const open = () => createSnapshotFile({ path, clock, log: silentLog });

beforeEach(async () => {
  timers = [];
  folder = await mkdtemp(join(tmpdir(), "heddle-snapshot-"));
  path = join(folder, "registry.json");
});
afterEach(() => rm(folder, { recursive: true }));

test("gives back what was saved last, once a second has passed or it is closed", async () => {
  const file = open();
  expect(await file.load()).toBeUndefined();
  file.save(() => [instanceOf(1)]);
  file.save(() => [instanceOf(1), instanceOf(2)]);
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([WRITE_INTERVAL_MS]);
  timers[0]?.fire();
  await file.close();
  expect(await open().load()).toEqual([instanceOf(1), instanceOf(2)]);
  file.save(() => [instanceOf(3)]);
  await file.close();
  expect(await open().load()).toEqual([instanceOf(3)]);
  expect(timers).toEqual([]);
});

test("counts a broken file as empty, and replaces it", async () => {
  await writeFile(path, '{"instances":[{"instanceId');
  const file = open();
  expect(await file.load()).toBeUndefined();
  file.save(() => [instanceOf(1)]);
  await file.close();
  expect(JSON.parse(await readFile(path, "utf8"))).toHaveProperty("instances");
});

test("does not throw where it cannot write", async () => {
  await writeFile(path, "a file, not a folder");
  const file = createSnapshotFile({ path: join(path, "registry.json"), clock, log: silentLog });
  file.save(() => [instanceOf(1)]);
  await file.close();
  expect(await file.load()).toBeUndefined();
});
