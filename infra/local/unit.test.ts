import { expect, test } from "vitest";
import { startUnits, stopUnits, type Unit } from "./unit.ts";

function recorder() {
  const log: string[] = [];
  const unit = (
    name: string,
    after: string[] = [],
    start: () => Promise<void> = async () => undefined,
  ): Unit => ({
    name,
    after,
    async start() {
      log.push(`+${name}`);
      await start();
    },
    async stop() {
      log.push(`-${name}`);
    },
    processes: () => [],
  });
  const events = { starting: () => undefined, ready: (unit: Unit) => void log.push(`=${unit.name}`) };
  return { log, unit, events, signal: new AbortController().signal };
}

test("starts what does not depend on each other at the same time, the rest in order", async () => {
  const { log, unit, events, signal } = recorder();
  await startUnits([unit("service", ["mysql", "redis"]), unit("mysql"), unit("redis")], events, signal);
  expect(log).toEqual(["+mysql", "+redis", "=mysql", "=redis", "+service", "=service"]);
});

test("stops dependents before what they need", async () => {
  const { log, unit } = recorder();
  await stopUnits([unit("mysql"), unit("service", ["mysql"]), unit("gateway")]);
  expect(log.indexOf("-service")).toBeLessThan(log.indexOf("-mysql"));
  expect(log).toHaveLength(3);
});

test("does not start what needs a unit that failed", async () => {
  const { log, unit, events, signal } = recorder();
  const broken = unit("mysql", [], () => Promise.reject(new Error("no disk")));
  await expect(startUnits([broken, unit("service", ["mysql"])], events, signal)).rejects.toThrow("no disk");
  expect(log).toEqual(["+mysql"]);
});

test("refuses a circle and a missing name at once", async () => {
  const { unit, events, signal } = recorder();
  await expect(startUnits([unit("a", ["b"]), unit("b", ["a"])], events, signal)).rejects.toThrow(TypeError);
  await expect(startUnits([unit("a", ["none"])], events, signal)).rejects.toThrow("needs none");
});
