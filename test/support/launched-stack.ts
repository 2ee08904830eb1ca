/** The whole stack as a user has it: `npm start` as a process of its own, on free ports and in a temporary folder. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { freePorts } from "../../infra/free-ports.ts";
import { DEFAULT_PORTS, type PortName } from "../../infra/local/ports.ts";
import { isAlive, readState, type ProcessState } from "../../infra/local/state.ts";

const SCRIPT = new URL("../../infra/local/main.ts", import.meta.url).pathname;

/** Where a stack lives; the same place can be started again and again. */
export interface StackPlace {
  readonly folder: string;
  readonly configFile: string;
  readonly ports: Readonly<Record<PortName, number>>;
  /** `http://host:port` of the first gateway. */
  readonly url: string;
  /** Removes the folder. */
  remove(): void;
}

/** A running stack. */
export interface LaunchedStack {
  readonly launcher: ChildProcess;
  /** What the launcher has printed so far. */
  output(): string;
}

/** What a finished command left. */
export interface CommandResult {
  readonly code: number | null;
  readonly output: string;
}

/** A new place with free ports. `settings` are further keys of the `local` section. */
export async function createStackPlace(
  settings: Readonly<Record<string, unknown>> = {},
): Promise<StackPlace> {
  const root = mkdtempSync(join(tmpdir(), "heddle-stack-"));
  const folder = join(root, "stack");
  const configFile = join(root, "heddle.yaml");
  const names = Object.keys(DEFAULT_PORTS) as PortName[];
  const free = await freePorts(names.length);
  const ports = Object.fromEntries(names.map((name, index) => [name, free[index]])) as Record<
    PortName,
    number
  >;
  writeFileSync(configFile, stringify({ local: { folder, ports, ...settings } }));
  const url = `http://127.0.0.1:${ports.gateway}`;
  return { folder, configFile, ports, url, remove: () => rmSync(root, { recursive: true, force: true }) };
}

/** Starts the stack; resolves when it says that it is up, rejects with its output if it ends before. */
export async function launch({ configFile }: StackPlace): Promise<LaunchedStack> {
  const launcher = spawn(process.execPath, [SCRIPT, "start", "--config", configFile], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const up = Promise.withResolvers<void>();
  let output = "";
  for (const stream of [launcher.stdout, launcher.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes("Heddle is up")) up.resolve();
    });
  }
  launcher.once("exit", (code) => up.reject(new Error(`the launcher ended with ${code}:\n${output}`)));
  await up.promise;
  return { launcher, output: () => output };
}

/** Ends a stack as Ctrl-C does. */
export async function stopLauncher({ launcher }: LaunchedStack): Promise<void> {
  launcher.kill("SIGINT");
  await exitOf(launcher);
}

/** Runs the launcher's command line with these arguments, to its end. */
export async function runLauncher(...args: readonly string[]): Promise<CommandResult> {
  const child = spawn(process.execPath, [SCRIPT, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return { code: await exitOf(child), output };
}

/** The processes of a stack by its state file. */
export function processesOf({ folder }: StackPlace): readonly ProcessState[] {
  return readState(folder)?.processes ?? [];
}

/** Kills a process of a stack with SIGKILL, and resolves once the launcher has brought up another one in its place. */
export async function killProcess(place: StackPlace, name: string): Promise<void> {
  const find = () => processesOf(place).find((process) => process.name === name);
  const victim = find();
  if (victim === undefined) throw new Error(`no process ${name} in ${place.folder}`);
  process.kill(victim.pid, "SIGKILL");
  await until(() => {
    const now = find();
    return now !== undefined && now.pid !== victim.pid && isAlive(now);
  }, `${name} to be started again`);
}

/** Asks every 20 ms until the condition holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 30_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Resolves with the exit status of a process; null if a signal ended it. */
export function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once("close", (code) => resolve(code)));
}
