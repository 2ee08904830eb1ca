/** `npm run stop`: asks the launcher of the stack to end, and ends by itself what a dead launcher has left. */
import { setTimeout as wait } from "node:timers/promises";
import { clearState, isAlive, readState, runningStack } from "./state.ts";

const LAUNCHER_TIMEOUT_MS = 60_000;
const ORPHAN_TIMEOUT_MS = 15_000;

/** Stops the stack of a folder. Resolves with whether there was anything to stop. */
export async function stopStack(folder: string): Promise<boolean> {
  const running = runningStack(folder);
  if (running !== undefined) {
    process.kill(running.launcher.pid, "SIGTERM");
    if (await gone([running.launcher], LAUNCHER_TIMEOUT_MS)) return true;
    throw new Error(
      `the launcher (pid ${running.launcher.pid}) has not ended within ${LAUNCHER_TIMEOUT_MS / 1000} s`,
    );
  }
  const orphans = (readState(folder)?.processes ?? []).filter(isAlive);
  for (const { pid } of orphans) process.kill(pid, "SIGTERM");
  if (!(await gone(orphans, ORPHAN_TIMEOUT_MS))) {
    for (const { pid } of orphans.filter(isAlive)) process.kill(pid, "SIGKILL");
    await gone(orphans, ORPHAN_TIMEOUT_MS);
  }
  clearState(folder);
  return orphans.length > 0;
}

async function gone(
  processes: readonly { pid: number; started: string }[],
  timeoutMs: number,
): Promise<boolean> {
  const until = performance.now() + timeoutMs;
  while (processes.some(isAlive)) {
    if (performance.now() > until) return false;
    await wait(50);
  }
  return true;
}
