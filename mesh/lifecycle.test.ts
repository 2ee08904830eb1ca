import { EventEmitter, once } from "node:events";
import { expect, test } from "vitest";
import { stopOnSignal } from "./lifecycle.ts";
import { createTestLog } from "./rpc/testing.ts";

function start(stop: () => Promise<void>) {
  const emitter = new EventEmitter();
  const exits: number[] = [];
  const process = Object.assign(emitter, {
    exit(code: number) {
      exits.push(code);
      emitter.emit("exited");
    },
  });
  const { log, lines } = createTestLog();
  stopOnSignal(stop, log, process);
  return { process, exits, lines };
}

test("a signal stops in good order and exits with 0", async () => {
  const order: string[] = [];
  const { process, exits } = start(async () => {
    order.push("stopped");
  });
  process.emit("SIGTERM", "SIGTERM");
  await once(process, "exited");
  expect(order).toEqual(["stopped"]);
  expect(exits).toEqual([0]);
});

test("a second signal exits at once, with the status of that signal", () => {
  const { process, exits } = start(() => new Promise(() => undefined));
  process.emit("SIGTERM", "SIGTERM");
  process.emit("SIGINT", "SIGINT");
  expect(exits).toEqual([130]);
});

test("a stop that fails is logged and exits with 1", async () => {
  const { process, exits, lines } = start(() => Promise.reject(new Error("stuck")));
  process.emit("SIGINT", "SIGINT");
  await once(process, "exited");
  expect(exits).toEqual([1]);
  expect(lines.at(-1)).toMatchObject({ level: "error", err: { message: "stuck" } });
});

test("an unhandled rejection is logged as fatal and exits with 1", () => {
  const { process, exits, lines } = start(() => Promise.resolve());
  process.emit("unhandledRejection", new Error("nobody caught me"));
  expect(exits).toEqual([1]);
  expect(lines).toMatchObject([{ level: "fatal", err: { message: "nobody caught me" } }]);
});
