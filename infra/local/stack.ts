/** The units of the local stack: the servers that were found or installed, and Heddle's own processes. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { Config } from "../../mesh/config.ts";
import { passwordFile } from "../mysql/accounts.ts";
import { createGroup } from "../mysql/group.ts";
import { ensureAll, type Tools } from "../tools/ensure.ts";
import { redisCommand, temporalCommand, type ServerCommand } from "../tools/servers.ts";
import { createChild, type ChildEvents } from "./child.ts";
import { freshLog, type Folders } from "./folder.ts";
import type { Ports } from "./ports.ts";
import { httpProbe, routesProbe, tcpProbe, untilReady } from "./probe.ts";
import type { Screen } from "./screen.ts";
import { heddleNodes, type Node, type Profile } from "./topology.ts";
import type { Unit } from "./unit.ts";

/** Keeps eighteen processes together close to 3 GiB: V8 would otherwise let each one's young generation grow to 48 MiB. */
const HEAP_LIMITS = ["--max-old-space-size=256", "--max-semi-space-size=4"];

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What the units are made of. */
export interface StackOptions {
  readonly config: Config;
  readonly profile: Profile;
  readonly ports: Ports;
  readonly folders: Folders;
  readonly tools: Tools;
  readonly events: ChildEvents;
  /** What happens to the MySQL group, one sentence each. */
  readonly report: (line: string) => void;
}

/** Finds or installs the servers that are not configured to be elsewhere, with progress on the screen. */
export async function installTools(config: Config, screen: Screen, signal: AbortSignal): Promise<Tools> {
  const { mysqld, redis, temporal, redisUrl, temporalAddress } = config.local?.tools ?? {};
  const except = [
    ...(redisUrl ? (["redis"] as const) : []),
    ...(temporalAddress ? (["temporal"] as const) : []),
  ];
  const paths = {
    ...(mysqld ? { mysql: mysqld } : {}),
    ...(redis ? { redis } : {}),
    ...(temporal ? { temporal } : {}),
  };
  return ensureAll({ paths, except, signal, report: (tool, text) => screen.progress(tool, text) });
}

/** All units. Nothing is started yet. */
export function stackUnits(options: StackOptions): readonly Unit[] {
  const { config, profile, ports, folders, events } = options;
  const { redisUrl, temporalAddress } = config.local?.tools ?? {};
  const mysqlPorts = profile === "full" ? [ports.mysql, ports.mysql_2, ports.mysql_3] : [ports.mysql];
  const mysqlFolder = join(folders.data, "mysql");
  const nodes = heddleNodes({
    config,
    ports,
    profile,
    redisUrl: redisUrl || `redis://127.0.0.1:${ports.redis}`,
    dataFolder: folders.data,
    temporalAddress: temporalAddress || `127.0.0.1:${ports.temporal}`,
    mysqlMembers: mysqlPorts.map((port) => `127.0.0.1:${port}`),
    passwordFile: (account) => passwordFile(mysqlFolder, account),
  });
  return [
    mysqlUnit(options, mysqlFolder, mysqlPorts),
    redisUrl ? elsewhere("redis", addressOf(redisUrl)) : redisUnit(options),
    temporalAddress ? elsewhere("temporal", temporalAddress) : temporalUnit(options),
    ...nodes.map((node) => nodeUnit(node, folders, events)),
    routesUnit(nodes),
  ];
}

function mysqlUnit(
  { tools, folders, events, report }: StackOptions,
  folder: string,
  ports: readonly number[],
): Unit {
  if (tools.mysql === undefined) throw new TypeError("MySQL is never excepted from the search");
  return createGroup({
    tool: tools.mysql,
    folder,
    ports,
    logFile: (name) => freshLog(folders, name),
    events,
    report,
  });
}

function redisUnit({ tools, folders, ports, events }: StackOptions): Unit {
  if (tools.redis === undefined) throw new TypeError("Redis was excepted from the search");
  const command = redisCommand(tools.redis, { port: ports.redis, folder: join(folders.data, "redis") });
  return serverUnit("redis", command, { redis: `127.0.0.1:${ports.redis}` }, folders, events);
}

function temporalUnit({ tools, folders, ports, events }: StackOptions): Unit {
  if (tools.temporal === undefined) throw new TypeError("Temporal was excepted from the search");
  const command = temporalCommand(tools.temporal, {
    port: ports.temporal,
    uiPort: ports.temporal_ui,
    metricsPort: ports.temporal_metrics,
    folder: join(folders.data, "temporal"),
  });
  const addresses = { grpc: `127.0.0.1:${ports.temporal}`, ui: `127.0.0.1:${ports.temporal_ui}` };
  return serverUnit("temporal", command, addresses, folders, events);
}

function serverUnit(
  name: string,
  { command, args, probe }: ServerCommand,
  addresses: Readonly<Record<string, string>>,
  folders: Folders,
  events: ChildEvents,
): Unit {
  const logFile = freshLog(folders, name);
  return createChild({ name, after: [], command, args, env: process.env, logFile, addresses, probe }, events);
}

/** A server that somebody else runs: it only has to answer. */
function elsewhere(name: string, address: string): Unit {
  const [host = "", port = ""] = address.split(":");
  return {
    name,
    after: [],
    start: (signal) => untilReady(tcpProbe(host, Number(port)), signal),
    stop: () => Promise.resolve(),
    processes: () => [],
  };
}

/** Ready when every gateway has learned the routes of every service: only then do the sample calls work. */
function routesUnit(nodes: readonly Node[]): Unit {
  const packages = nodes.flatMap(({ offers }) => offers ?? []);
  const gateways = nodes.flatMap(({ addresses: { control, admin } }) => (control && admin ? [admin] : []));
  return {
    name: "routes",
    after: nodes.map(({ name }) => name),
    async start(signal) {
      await Promise.all(gateways.map((admin) => untilReady(routesProbe(admin, packages), signal)));
    },
    stop: () => Promise.resolve(),
    processes: () => [],
  };
}

function nodeUnit(node: Node, folders: Folders, events: ChildEvents): Unit {
  const configFile = join(folders.run, `${node.name}.yaml`);
  writeFileSync(configFile, stringify(node.config), { mode: 0o600 });
  return createChild(
    {
      name: node.name,
      after: node.after,
      command: process.execPath,
      args: [...HEAP_LIMITS, ...(node.flags ?? []), join(ROOT, node.script), "--config", configFile],
      env: nodeEnvironment(folders),
      cwd: ROOT,
      logFile: freshLog(folders, node.name),
      addresses: node.addresses,
      probe: httpProbe(`http://${node.addresses["admin"]}/readyz`),
    },
    events,
  );
}

/** The launcher's own `HEDDLE__` variables are in the configuration files already, and must not hold for all alike. */
function nodeEnvironment(folders: Folders): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("HEDDLE__"));
  return { ...Object.fromEntries(inherited), NODE_COMPILE_CACHE: join(folders.root, "compile-cache") };
}

function addressOf(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port || "6379"}`;
}
