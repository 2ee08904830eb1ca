/** Processes that a benchmark measures: started, waited for, their CPU time read, and ended. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** A running process. */
export interface Measured {
  /** Fields of the log line that said that it is ready. */
  readonly ready: Readonly<Record<string, string>>;
  /** CPU time so far, user and system, of all its threads, in microseconds. */
  cpuUs(): number;
  stop(): Promise<void>;
}

/** Clock ticks a second in /proc (USER_HZ): 100 on every Linux that Node runs on. */
const TICK_US = 10_000;

/** Starts `node ARGS…`; resolves once it logs a line with this message. */
export async function start(args: readonly string[], readyMessage: string): Promise<Measured> {
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const gone = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout! })) {
    const fields = JSON.parse(line) as Record<string, string>;
    if (fields["msg"] !== readyMessage) continue;
    child.stdout?.resume();
    return {
      ready: fields,
      cpuUs: () => cpuUsOf(child.pid!),
      async stop() {
        child.kill("SIGTERM");
        await gone;
      },
    };
  }
  throw new Error(`${args.join(" ")} ended before it was ready`);
}

function cpuUsOf(pid: number): number {
  // The name of the program, in parentheses, may hold blanks.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  return (user + system) * TICK_US;
}
