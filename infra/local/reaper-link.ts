/** The launcher's side of the reaper: tells it which processes must not outlive the launcher. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { startTimeOf } from "./state.ts";

/** Keeps the reaper informed. */
export interface ReaperLink {
  spawned(pid: number): void;
  exited(pid: number): void;
  /** Lets the reaper end; it ends what it still knows. */
  close(): Promise<void>;
}

/** Starts a reaper. It lives in a process group of its own, so that Ctrl-C does not reach it. */
export function startReaper(): ReaperLink {
  const script = fileURLToPath(new URL("reaper.ts", import.meta.url));
  const child = spawn(process.execPath, ["--max-old-space-size=32", script], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  // A reaper that is gone must not take the launcher along.
  child.stdin.on("error", () => undefined);
  return {
    spawned: (pid) => void child.stdin.write(`+${pid} ${startTimeOf(pid)}\n`),
    exited: (pid) => void child.stdin.write(`-${pid}\n`),
    async close() {
      child.stdin.end();
      await exit;
    },
  };
}
