/** Cache nodes as real processes, with fixed ports and without a registry, for chaos tests and benchmarks. */
import { createServer } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createClient, type Client } from "@connectrpc/connect";
import { CacheService } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { createStaticResolver } from "../../mesh/registry/static-resolver.ts";
import { createChannel } from "../../mesh/rpc/channel.ts";
import { createTransport } from "../../mesh/rpc/transport.ts";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNode, type NodeProcess } from "./node-process.ts";

/** A cluster of processes. */
export interface CacheCluster {
  readonly addresses: readonly string[];
  process(index: number): NodeProcess;
  /** `kill -9`. */
  kill(index: number): Promise<void>;
  start(index: number): Promise<void>;
  stats(index: number): ReturnType<Client<typeof CacheService>["getStats"]>;
  /** Resolves when every node that runs has all that it owns, and owes nothing to the others. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts `count` nodes with these lines in the `cache` section of their configuration. */
export async function startCacheCluster(count: number, settings: readonly string[]): Promise<CacheCluster> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-cache-"));
  const addresses = await freeAddresses(count);
  const processes: (NodeProcess | undefined)[] = [];
  const channels = addresses.map((address) => createChannel({ resolver: createStaticResolver([address]) }));
  const clients = channels.map((channel) =>
    createClient(CacheService, createTransport(channel, { timeoutMs: 2000 })),
  );

  const cluster: CacheCluster = {
    addresses,
    process: (index) => processes[index] as NodeProcess,
    async kill(index) {
      await processes[index]?.stop("SIGKILL");
      processes[index] = undefined;
    },
    async start(index) {
      const file = join(folder, `${index}.yaml`);
      const lines = [
        `listen: ${addresses[index]}`,
        "log: { level: info }",
        "drain_timeout: 1s",
        "cache:",
        `  members: [${addresses.join(", ")}]`,
        ...settings.map((line) => `  ${line}`),
      ];
      writeFileSync(file, lines.join("\n"));
      processes[index] = await startNode(["cache/main.ts", "--config", file], { readyMessage: "serving" });
    },
    stats: (index) => (clients[index] as Client<typeof CacheService>).getStats({}),
    async settled() {
      const running = processes.flatMap((process, index) => (process === undefined ? [] : [index]));
      for (;;) {
        const all = await Promise.all(running.map((index) => cluster.stats(index).catch(() => undefined)));
        if (all.every((stats) => stats?.coldSlots === 0 && stats.unackedFrames === 0n)) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async stop() {
      await Promise.all(processes.flatMap((process) => process?.stop() ?? []));
      await Promise.all(channels.map((channel) => channel.close()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await Promise.all(addresses.map((_, index) => cluster.start(index)));
  await cluster.settled();
  return cluster;
}

/** Ports that nobody listens on: all are held at once, so that none is given twice. */
async function freeAddresses(count: number): Promise<string[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const addresses = servers.map((server) => `127.0.0.1:${(server.address() as AddressInfo).port}`);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return addresses;
}
