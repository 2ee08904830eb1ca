/**
 * Runs a program to its end and returns what it printed; a failure says which program, how it ended and its last words.
 */
import { spawn } from "node:child_process";
import type { Environment } from "./tool.ts";

/** How a program is run. */
export interface RunOptions {
  readonly cwd?: string | undefined;
  readonly env?: Environment | undefined;
  /** The program is killed after this time. Default: no limit. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const LAST_WORDS_CHARS = 400;

/** Standard output of the program; rejects if it cannot start, exits with another code than 0, or takes too long. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const name = command.split("/").at(-1) ?? command;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: options.timeoutMs,
      killSignal: "SIGKILL",
      signal: options.signal,
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr = (stderr + chunk).slice(-4096)));
    child.on("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "ENOENT" ? new Error(`${name} is not on this machine`) : error);
    });
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(stdout);
      reject(
        new Error(`${name} ${howItEnded(code, signal, options.timeoutMs)}${lastWords(stderr || stdout)}`),
      );
    });
  });
}

function howItEnded(code: number | null, signal: string | null, timeoutMs: number | undefined): string {
  if (code !== null) return `exited with code ${code}`;
  if (signal === "SIGKILL" && timeoutMs !== undefined) return `was ended (limit ${timeoutMs / 1000} s)`;
  return `was ended by ${signal ?? "a signal"}`;
}

function lastWords(text: string): string {
  const words = text.trim().replaceAll(/\s*\n\s*/g, " | ");
  if (words === "") return "";
  return words.length <= LAST_WORDS_CHARS ? `: ${words}` : `: …${words.slice(-LAST_WORDS_CHARS)}`;
}
