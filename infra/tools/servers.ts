/** How Redis and Temporal are run for development: command lines as data, and how to see that they are ready. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { redisProbe, tcpProbe, type Probe } from "../local/probe.ts";
import type { RedisTool } from "./redis.ts";
import type { TemporalTool } from "./temporal.ts";

/** A server that can be started. */
export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly probe: Probe;
}

const HOST = "127.0.0.1";
const DYNAMIC_CONFIG = fileURLToPath(
  new URL("../../third_party/temporal/dynamic-config.yaml", import.meta.url),
);

/** Redis with an append-only file in `folder`, which is created. Loses at most the last second on a power cut. */
export function redisCommand(
  tool: RedisTool,
  { port, folder }: { port: number; folder: string },
): ServerCommand {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const args = ["--bind", HOST, "--port", `${port}`, "--dir", folder, "--appendonly", "yes", "--save", ""];
  return { command: tool.executable, args, probe: redisProbe(HOST, port) };
}

/** Ports and data of a Temporal dev server. */
export interface TemporalPlace {
  readonly port: number;
  readonly uiPort: number;
  readonly metricsPort: number;
  /** Holds the SQLite file; is created. */
  readonly folder: string;
}

/** The Temporal dev server with its web UI, without the stock limit of 20 workflow tasks a second. */
export function temporalCommand(tool: TemporalTool, place: TemporalPlace): ServerCommand {
  mkdirSync(place.folder, { recursive: true, mode: 0o700 });
  const args = tool.kind === "cli" ? cliArguments(place) : serverArguments(place);
  return { command: tool.executable, args, probe: tcpProbe(HOST, place.port) };
}

function cliArguments({ port, uiPort, metricsPort, folder }: TemporalPlace): readonly string[] {
  const tuned = Object.entries(parse(readFileSync(DYNAMIC_CONFIG, "utf8")) as Record<string, unknown>);
  const options: readonly (readonly [string, string])[] = [
    ["--ip", HOST],
    ["--port", `${port}`],
    ["--ui-port", `${uiPort}`],
    ["--metrics-port", `${metricsPort}`],
    ["--log-level", "error"],
    ["--db-filename", join(folder, "temporal.db")],
    ["--sqlite-pragma", "journal_mode=WAL"],
    ["--sqlite-pragma", "synchronous=1"],
    ...tuned.map(([key, value]) => ["--dynamic-config-value", `${key}=${JSON.stringify(value)}`] as const),
  ];
  return ["server", "start-dev", "--ui-disable-news-fetch", ...options.flat()];
}

function serverArguments({ port, uiPort, metricsPort, folder }: TemporalPlace): readonly string[] {
  const options: readonly (readonly [string, string])[] = [
    ["-ip", HOST],
    ["-port", `${port}`],
    ["-ui-port", `${uiPort}`],
    ["-metrics-port", `${metricsPort}`],
    ["-db-filename", join(folder, "temporal.db")],
    ["-sqlite-journal-mode", "WAL"],
    ["-sqlite-synchronous", "1"],
    ["-dynamic-config", DYNAMIC_CONFIG],
  ];
  return options.flat();
}
