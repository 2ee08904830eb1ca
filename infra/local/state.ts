/**
 * `.heddle/run/state.json`: what runs where, written by the launcher and read by `status`, `stop` and the tests. A process
 * is known by its pid together with its start time, so that a pid that was given to somebody else is never signalled.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A process of the stack. */
export interface ProcessState {
  readonly name: string;
  readonly pid: number;
  /** Start time as the kernel counts it; empty where it cannot be told. */
  readonly started: string;
  /** Where it is reached, by what for: `http`, `grpc`, `admin`, `ui`, `mysql`, `redis`. Values are `host:port`. */
  readonly addresses: Readonly<Record<string, string>>;
  readonly log: string;
  readonly restarts: number;
}

/** The whole stack. */
export interface StackState {
  /** `starting` until everything is ready, then `up`; `stopping` once it is being ended. */
  readonly phase: "starting" | "up" | "stopping";
  readonly launcher: { readonly pid: number; readonly started: string };
  readonly processes: readonly ProcessState[];
}

/** Path of the state file below the stack's folder. */
export function statePath(folder: string): string {
  return join(folder, "run", "state.json");
}

/** The state as it was written last; undefined if there is none. */
export function readState(folder: string): StackState | undefined {
  try {
    return JSON.parse(readFileSync(statePath(folder), "utf8")) as StackState;
  } catch {
    return undefined;
  }
}

/** Replaces the state; a reader sees the old one or the new one, never a part. */
export function writeState(folder: string, state: StackState): void {
  const path = statePath(folder);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.next`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${path}.next`, path);
}

/** Removes the state: nothing runs any more. */
export function clearState(folder: string): void {
  rmSync(statePath(folder), { force: true });
}

/** When a process started; empty if it does not run. On systems without /proc a running one gives `?`. */
export function startTimeOf(pid: number): string {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return "";
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command in parentheses may hold blanks; fields count from behind it. 0 is the state, 19 the start time.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? "" : (fields[19] ?? "?");
  } catch {
    return "?";
  }
}

/** Whether this very process still runs. */
export function isAlive(process: { readonly pid: number; readonly started: string }): boolean {
  const started = startTimeOf(process.pid);
  return started !== "" && started === process.started;
}

/** The state of a stack whose launcher still runs. */
export function runningStack(folder: string): StackState | undefined {
  const state = readState(folder);
  return state !== undefined && isAlive(state.launcher) ? state : undefined;
}
