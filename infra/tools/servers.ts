/**
 * How Redis and Temporal are started for one machine: on loopback, with their data kept, and Temporal with settings that
 * do not cap it at 20 workflow tasks a second, as its own do.
 */
import { mkdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RedisTool } from "./redis.ts";
import type { TemporalTool } from "./temporal.ts";

/** A process to run, and how to see that it is ready. */
export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Whether it takes calls now. Never throws. */
  readonly probe: () => Promise<boolean>;
}

/** Where a Redis server lives. */
export interface RedisPlace {
  readonly port: number;
  /** Its data; created if it is not there. */
  readonly folder: string;
}

/** Where a Temporal server lives. */
export interface TemporalPlace {
  readonly port: number;
  readonly uiPort: number;
  /** Prometheus, path `/metrics`. */
  readonly metricsPort: number;
  /** Its database; created if it is not there. */
  readonly folder: string;
}

const PROBE_LIMIT_MS = 1000;
const DYNAMIC_CONFIG = fileURLToPath(
  new URL("../../third_party/temporal/dynamic-config.yaml", import.meta.url),
);
/** The same values as in dynamic-config.yaml, as the command line takes them. */
export const TEMPORAL_SETTINGS: readonly string[] = [
  "history.transferProcessorMaxPollRPS=2000",
  "history.timerProcessorMaxPollRPS=2000",
  "history.visibilityProcessorMaxPollRPS=2000",
  "matching.numTaskqueueReadPartitions=1",
  "matching.numTaskqueueWritePartitions=1",
  'history.timerProcessorMaxTimeShift="20ms"',
];

/** Redis on loopback; every write is on disk within a second. */
export function redisCommand(tool: RedisTool, { port, folder }: RedisPlace): ServerCommand {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return {
    command: tool.executable,
    args: ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--save", ""],
    // Not the port alone: while it loads its data, it answers PING with an error.
    probe: () => answers(port, "PING\r\n", "+PONG"),
  };
}

/** Temporal with its web UI on loopback, its history in a SQLite file. */
export function temporalCommand(tool: TemporalTool, place: TemporalPlace): ServerCommand {
  mkdirSync(place.folder, { recursive: true, mode: 0o700 });
  const database = join(place.folder, "temporal.db");
  return {
    command: tool.executable,
    args: tool.kind === "cli" ? cliArgs(place, database) : serverArgs(place, database),
    // The frontend listens before the namespace is there; the web UI asks the frontend for it.
    probe: () => isFound(`http://127.0.0.1:${place.uiPort}/api/v1/namespaces/default`),
  };
}

function cliArgs({ port, uiPort, metricsPort }: TemporalPlace, database: string): readonly string[] {
  const options = {
    ip: "127.0.0.1",
    port,
    "ui-port": uiPort,
    "metrics-port": metricsPort,
    "log-level": "error",
    "db-filename": database,
  };
  const settings = TEMPORAL_SETTINGS.flatMap((setting) => ["--dynamic-config-value", setting]);
  const pragmas = ["journal_mode=WAL", "synchronous=1"].flatMap((pragma) => ["--sqlite-pragma", pragma]);
  return ["server", "start-dev", ...flags(options), "--ui-disable-news-fetch", ...pragmas, ...settings];
}

function serverArgs({ port, uiPort, metricsPort }: TemporalPlace, database: string): readonly string[] {
  return flags({
    ip: "127.0.0.1",
    port,
    "ui-port": uiPort,
    "metrics-port": metricsPort,
    "log-level": "error",
    "db-filename": database,
    "sqlite-journal-mode": "WAL",
    "sqlite-synchronous": 1,
    "dynamic-config": DYNAMIC_CONFIG,
  });
}

function flags(options: Readonly<Record<string, string | number>>): readonly string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
}

async function isFound(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_LIMIT_MS) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** Whether a port accepts a connection, and answers `sent` with a text that begins with `expected`. */
function answers(port: number, sent: string, expected: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, timeout: PROBE_LIMIT_MS });
    const settle = (ready: boolean) => {
      socket.destroy();
      resolve(ready);
    };
    socket.once("connect", () => socket.write(sent));
    socket.once("data", (data) => settle(data.toString().startsWith(expected)));
    for (const event of ["error", "timeout", "close"]) socket.once(event, () => settle(false));
  });
}
