/**
 * One server as a child process: output to a log file, readiness by its probe, and a new start with backoff when it dies.
 * Each child leads a process group of its own, so that Ctrl-C in the terminal reaches the launcher alone, which then stops
 * the children in order.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { untilReady, type Probe } from "./probe.ts";
import { startTimeOf, type ProcessState } from "./state.ts";
import type { Unit } from "./unit.ts";

/** What to run. */
export interface ChildSpec {
  readonly name: string;
  readonly after: readonly string[];
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly logFile: string;
  readonly addresses: Readonly<Record<string, string>>;
  readonly probe: Probe;
  /** SIGKILL after this long. Default 30000. */
  readonly stopTimeoutMs?: number;
}

/** What the launcher wants to know about its children. */
export interface ChildEvents {
  /** A new process; `pid` must not outlive the launcher. */
  spawned(name: string, pid: number): void;
  exited(name: string, pid: number): void;
  /** It died by itself and will be started again. */
  died(name: string, how: string, againInMs: number): void;
  /** It is ready again after it had died. */
  recovered(name: string): void;
}

/** Deaths in a row before the first readiness after which starting is given up. */
const MAX_FAILED_STARTS = 3;
/** A child that ran this long has recovered: the backoff begins anew. */
const STABLE_AFTER_MS = 30_000;

/** How long to wait before the next start: 0.2 s, doubling up to 10 s. */
export function restartDelayMs(deathsInARow: number): number {
  return Math.min(200 * 2 ** Math.max(0, deathsInARow - 1), 10_000);
}

/** A unit of one process. */
export function createChild(spec: ChildSpec, events: ChildEvents): Unit {
  const stopping = new AbortController();
  let current: { child: ChildProcess; pid: number; started: string; exit: Promise<string> } | undefined;
  let restarts = 0;
  let supervised: Promise<void> | undefined;

  function launch() {
    const log = openSync(spec.logFile, "a");
    const child = spawn(spec.command, [...spec.args], {
      env: { ...spec.env },
      cwd: spec.cwd,
      detached: true,
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    const exit = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(signal === null ? `exit status ${code}` : signal));
    });
    const pid = child.pid ?? 0;
    current = { child, pid, started: pid === 0 ? "" : startTimeOf(pid), exit };
    if (pid !== 0) events.spawned(spec.name, pid);
    void exit.then(() => {
      if (pid !== 0) events.exited(spec.name, pid);
      current = undefined;
    });
    return current;
  }

  /** Runs the process again and again until it is stopped. `first` settles with its first readiness. */
  async function supervise(first: PromiseWithResolvers<void>): Promise<void> {
    let deaths = 0;
    let wasReady = false;
    while (!stopping.signal.aborted) {
      const begin = performance.now();
      const { exit } = launch();
      const gone = new AbortController();
      const ready = untilReady(spec.probe, AbortSignal.any([gone.signal, stopping.signal])).then(
        () => {
          if (wasReady) events.recovered(spec.name);
          wasReady = true;
          first.resolve();
        },
        () => undefined,
      );
      const how = await exit;
      gone.abort();
      await ready;
      if (stopping.signal.aborted) break;
      deaths = performance.now() - begin > STABLE_AFTER_MS ? 1 : deaths + 1;
      if (!wasReady && deaths >= MAX_FAILED_STARTS) {
        first.reject(
          new Error(
            `${spec.name} does not start (${how}); the end of ${spec.logFile}:\n${tail(spec.logFile)}`,
          ),
        );
        return;
      }
      restarts += 1;
      const delayMs = restartDelayMs(deaths);
      events.died(spec.name, how, delayMs);
      await wait(delayMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
    first.reject(new Error(`${spec.name} was stopped before it was ready`));
  }

  return {
    name: spec.name,
    after: spec.after,
    async start(signal) {
      const first = Promise.withResolvers<void>();
      supervised = supervise(first);
      const abort = () => first.reject(signal.reason as Error);
      signal.addEventListener("abort", abort, { once: true });
      await first.promise.finally(() => signal.removeEventListener("abort", abort));
    },
    async stop() {
      stopping.abort();
      const running = current;
      if (running !== undefined) {
        running.child.kill("SIGTERM");
        const kill = setTimeout(() => running.child.kill("SIGKILL"), spec.stopTimeoutMs ?? 30_000);
        await running.exit;
        clearTimeout(kill);
      }
      await supervised;
    },
    processes(): readonly ProcessState[] {
      if (current === undefined) return [];
      const { pid, started } = current;
      return [{ name: spec.name, pid, started, addresses: spec.addresses, log: spec.logFile, restarts }];
    },
  };
}

function tail(file: string): string {
  try {
    return readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .slice(-12)
      .map((line) => `  ${line}`)
      .join("\n");
  } catch {
    return "  (no log)";
  }
}
