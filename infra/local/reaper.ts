/**
 * Ends what a killed launcher leaves behind. The launcher starts it as a child of its own and writes one line for each
 * process that begins (`+pid start-time`) or ends (`-pid`). When the pipe closes, because the launcher has ended in whatever way,
 * the processes that are still there get SIGTERM, and SIGKILL ten seconds later.
 */
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { isAlive } from "./state.ts";

const GRACE_MS = 10_000;
const left = new Map<number, string>();

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);

for await (const line of createInterface({ input: process.stdin })) {
  const [pid = "", started = ""] = line.slice(1).split(" ");
  if (line.startsWith("+")) left.set(Number(pid), started);
  else left.delete(Number(pid));
}

const alive = () => [...left].filter(([pid, started]) => isAlive({ pid, started })).map(([pid]) => pid);
for (const pid of alive()) end(pid, "SIGTERM");
const until = performance.now() + GRACE_MS;
while (alive().length > 0 && performance.now() < until) await wait(100);
for (const pid of alive()) end(pid, "SIGKILL");

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone in the meantime.
  }
}
