/**
 * Cache nodes as real processes on fixed ports, for chaos tests and benchmarks: either all of them are members for ever,
 * or those that a registry in this process knows.
 */
import { createClient, type Client } from "@connectrpc/connect";
import { CacheService } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { RegistryService } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { freePorts } from "../../infra/free-ports.ts";
import { createRegistry } from "../../gateway/registry/registry.ts";
import { createRegistryService } from "../../gateway/registry/service.ts";
import { createMemoryStore } from "../../gateway/registry/stores/memory.ts";
import type { Resolver } from "../../mesh/registry/instances.ts";
import { createStaticResolver } from "../../mesh/registry/static-resolver.ts";
import { createChannel } from "../../mesh/rpc/channel.ts";
import { createRpcServer, service } from "../../mesh/rpc/server.ts";
import { createTransport } from "../../mesh/rpc/transport.ts";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNode, type NodeProcess } from "./node-process.ts";

/** Options of a cluster. */
export interface ClusterOptions {
  /** Whether a registry decides who is in the ring, so that nodes can leave and join. Default false. */
  readonly registry?: boolean;
}

/** A cluster of processes. */
export interface CacheCluster {
  readonly addresses: readonly string[];
  /** Finds the nodes, for clients. Closed with the cluster. */
  readonly resolver: Resolver;
  process(index: number): NodeProcess;
  /** `kill -9`. */
  kill(index: number): Promise<void>;
  /** SIGTERM: hands over what it holds, and ends. Resolves with its exit status. */
  leave(index: number): Promise<number | null>;
  start(index: number): Promise<void>;
  /** Sends a signal to a node that runs. */
  signal(index: number, signal: NodeJS.Signals): void;
  stats(index: number): ReturnType<Client<typeof CacheService>["getStats"]>;
  /** Resolves when every node that runs has all that it owns, and owes nothing to the others. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts `count` nodes with these lines in the `cache` section of their configuration. */
export async function startCacheCluster(
  count: number,
  settings: readonly string[],
  options: ClusterOptions = {},
): Promise<CacheCluster> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-cache-"));
  const addresses = (await freePorts(count)).map((port) => `127.0.0.1:${port}`);
  const processes: (NodeProcess | undefined)[] = [];
  const registry = options.registry === true ? await serveRegistry() : undefined;
  const resolver = registry?.resolver ?? createStaticResolver(addresses);
  const membership =
    registry === undefined
      ? ["drain_timeout: 1s", "cache:", `  members: [${addresses.join(", ")}]`]
      : [`registry: { endpoints: ["${registry.address}"] }`, "cache:"];
  const channels = addresses.map((address) => createChannel({ resolver: createStaticResolver([address]) }));
  const clients = channels.map((channel) =>
    createClient(CacheService, createTransport(channel, { timeoutMs: 2000 })),
  );

  const cluster: CacheCluster = {
    addresses,
    resolver,
    process: (index) => processes[index] as NodeProcess,
    async kill(index) {
      await processes[index]?.stop("SIGKILL");
      processes[index] = undefined;
    },
    async leave(index) {
      const code = await processes[index]?.stop("SIGTERM");
      processes[index] = undefined;
      return code ?? null;
    },
    async start(index) {
      const file = join(folder, `${index}.yaml`);
      const lines = [
        `listen: ${addresses[index]}`,
        "log: { level: info }",
        ...membership,
        ...settings.map((line) => `  ${line}`),
      ];
      writeFileSync(file, lines.join("\n"));
      processes[index] = await startNode(["--single-threaded-gc", "cache/main.ts", "--config", file], {
        readyMessage: "serving",
      });
    },
    signal(index, signal) {
      const pid = processes[index]?.pid;
      if (pid !== undefined) process.kill(pid, signal);
    },
    stats: (index) => (clients[index] as Client<typeof CacheService>).getStats({}),
    async settled() {
      const running = processes.flatMap((process, index) => (process === undefined ? [] : [index]));
      const isComplete = (members: number) => registry === undefined || members === running.length;
      for (;;) {
        const all = await Promise.all(running.map((index) => cluster.stats(index).catch(() => undefined)));
        const isSettled = (stats: (typeof all)[number]) =>
          stats?.coldSlots === 0 && stats.unackedFrames === 0n && isComplete(stats.members.length);
        if (all.every(isSettled)) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async stop() {
      await Promise.all(processes.flatMap((process) => process?.stop() ?? []));
      await Promise.all(channels.map((channel) => channel.close()));
      await resolver.close();
      await registry?.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await Promise.all(addresses.map((_, index) => cluster.start(index)));
  await cluster.settled();
  return cluster;
}

/** A registry in memory on a control port of its own. */
async function serveRegistry() {
  const registry = createRegistry({ store: createMemoryStore() });
  const server = createRpcServer({ services: [service(RegistryService, createRegistryService(registry))] });
  const address = await server.listen("127.0.0.1:0");
  return {
    address,
    resolver: registry.resolver,
    async close() {
      await registry.close();
      await server.close();
    },
  };
}
