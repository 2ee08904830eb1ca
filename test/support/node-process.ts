/** A process of this project, for tests and benchmarks: started, waited for by what it logs, measured, ended. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** A running process. */
export interface NodeProcess {
  readonly pid: number;
  /** Fields of the log line that said that it is ready. */
  readonly ready: Readonly<Record<string, string>>;
  /** Lines of its log since then, parsed. */
  readonly logged: Record<string, unknown>[];
  /** CPU time so far, user and system, of all its threads, in microseconds. Linux only. */
  cpuUs(): number;
  /** Sends a signal, by default SIGTERM, and resolves with the exit status once the process is gone. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** How to start a process. */
export interface StartOptions {
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** `msg` of the log line that says that it is ready. */
  readonly readyMessage: string;
  /** What to put in front of the command, such as what runs it in a network namespace and then replaces itself. */
  readonly inside?: readonly string[];
}

/** Clock ticks a second in /proc (USER_HZ): 100 on every Linux that Node runs on. */
const TICK_US = 10_000;

/** Starts `node ARGS…`; resolves once it is ready, rejects if it ends before. */
export async function startNode(args: readonly string[], options: StartOptions): Promise<NodeProcess> {
  const [command, ...rest] = [...(options.inside ?? []), process.execPath, ...args] as [string, ...string[]];
  const child = spawn(command, rest, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
  });
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (complaints += chunk));
  const gone = once(child, "exit") as Promise<[number | null]>;
  const logged: Record<string, unknown>[] = [];
  const ready = Promise.withResolvers<Record<string, string>>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const fields = JSON.parse(line) as Record<string, string>;
    if (fields["msg"] === options.readyMessage) ready.resolve(fields);
    logged.push(fields);
  });
  const early = gone.then(([code]) => {
    throw new Error(`node ${args.join(" ")} ended with ${code} before it was ready\n${complaints}`);
  });
  early.catch(() => undefined);
  const pid = child.pid!;
  return {
    pid,
    ready: await Promise.race([ready.promise, early]),
    logged,
    cpuUs: () => cpuUsOf(pid),
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const [code] = await gone;
      return code;
    },
  };
}

/** CPU time of a process so far, user and system, of all its threads, in microseconds. Linux only. */
export function cpuUsOf(pid: number): number {
  // The name of the program, in parentheses, may hold blanks.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  return (user + system) * TICK_US;
}
