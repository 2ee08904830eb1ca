/** Gateways, cache nodes and a service that counts its calls, all in this process, for tests of the response cache. */
import { create } from "@bufbuild/protobuf";
import { ConnectError, type Client } from "@connectrpc/connect";
import { ulid } from "ulid";
import {
  CacheNamespaceSchema,
  CacheSchema,
  ConfigSchema,
  type Config,
} from "../../gen/ts/heddle/config/v1/config_pb.ts";
import { InstanceSchema, InstanceState } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { CatalogService } from "../../gen/ts/heddle/testing/v1/catalog_service_pb.ts";
import { startRuntime, type Runtime } from "../../cache/runtime.ts";
import { startGateway, type Gateway } from "../../gateway/gateway.ts";
import { createInvalidation } from "../../mesh/cache/invalidation.ts";
import { CACHE_SERVICE } from "../../mesh/cache/members.ts";
import { createMesh } from "../../mesh/mesh.ts";
import { silentLog } from "../../mesh/observe/log.ts";
import { announce, type Announcement } from "../../mesh/registry/announce.ts";
import { service } from "../../mesh/rpc/server.ts";
import { serve } from "../../mesh/serve.ts";

/** What a test does to the service and sees of it. */
export interface Catalog {
  /** Base URLs of the gateways. */
  readonly urls: readonly string[];
  /** Base URL of the first gateway's admin port. */
  readonly admin: string;
  /** Address of the first gateway's control port. */
  readonly control: string;
  /** Calls the service without a gateway. */
  readonly direct: Client<typeof CatalogService>;
  /** How many reads of an item the service has answered. */
  calls(id: string): number;
  /** Reads of the service wait from now on; the result lets them go on. */
  hold(): () => void;
  /** Whether the service itself invalidates what its calls change, too. Not at first. */
  selfInvalidates(does: boolean): void;
  /** Takes every cache node away, without a word. */
  killNodes(): Promise<void>;
  close(): Promise<void>;
}

/** Starts it all; with no nodes nothing is cached. */
export async function startCatalog(options: { gateways: number; nodes: number }): Promise<Catalog> {
  const gateways = await Promise.all(
    Array.from({ length: options.gateways }, () => startGateway(config({}))),
  );
  const endpoints = gateways.map(({ addresses }) => addresses.control);
  const nodes = await Promise.all(Array.from({ length: options.nodes }, () => startNode(endpoints)));
  for (const { runtime } of nodes) runtime.joinStatic(nodes.map((node) => node.runtime.address));

  const texts = new Map<string, string>();
  const counts = new Map<string, number>();
  let selfInvalidates = false;
  let held: Promise<void> = Promise.resolve();
  const read = async (id: string) => {
    const calls = (counts.get(id) ?? 0) + 1;
    counts.set(id, calls);
    const text = texts.get(id) ?? "";
    await held;
    return { id, text, calls };
  };
  const mesh = createMesh({
    name: "catalog",
    config: config({ registry: { endpoints } }),
    log: silentLog,
  });
  const invalidation = createInvalidation(mesh);
  const served = await serve(mesh, {
    signals: false,
    lameDuckMs: 0,
    interceptors: [
      (next) => {
        const invalidating = invalidation.interceptor(next);
        return (request) => (selfInvalidates ? invalidating(request) : next(request));
      },
    ],
    services: [
      service(CatalogService, {
        readItem: async ({ id }) => ({ item: await read(id) }),
        readOwnItem: async ({ id }, { requestHeader }) => ({
          item: await read(id),
          owner: requestHeader.get("authorization") ?? "",
        }),
        readFleetingItem: async ({ id }) => ({ item: await read(id) }),
        async listItems({ count }) {
          const items = Array.from({ length: count }, (_, index) => read(String(index)));
          return { items: await Promise.all(items) };
        },
        writeItem({ id, text, failWith }) {
          texts.set(id, text);
          if (failWith !== 0) throw new ConnectError("told to", failWith);
          return { item: { id, text } };
        },
        readBroken: async ({ id }) => ({ item: await read(id) }),
      }),
    ],
    stop: () => invalidation.close(),
  });
  const urls = gateways.map(({ addresses }) => `http://${addresses.listen}`);
  for (const url of urls) await until(async () => (await fetch(`${url}/v1/broken/ready`)).ok);

  return {
    urls,
    admin: `http://${gateways[0]!.addresses.admin}`,
    control: endpoints[0]!,
    direct: mesh.client(CatalogService),
    calls: (id) => counts.get(id) ?? 0,
    hold() {
      const gate = Promise.withResolvers<void>();
      held = gate.promise;
      return () => gate.resolve();
    },
    selfInvalidates: (does) => void (selfInvalidates = does),
    async killNodes() {
      await Promise.all(nodes.map(({ runtime }) => runtime.leave(0)));
    },
    async close() {
      await served.stop();
      await Promise.all(nodes.map(({ announcement }) => announcement.close()));
      await Promise.all(nodes.map(({ runtime }) => runtime.leave(0)));
      await Promise.all(gateways.map((gateway: Gateway) => gateway.stop()));
    },
  };
}

async function startNode(
  endpoints: readonly string[],
): Promise<{ runtime: Runtime; announcement: Announcement }> {
  const runtime = await startRuntime({
    listen: "127.0.0.1:0",
    config: create(CacheSchema, {
      maxBytes: 8n * 1024n * 1024n,
      namespaces: [create(CacheNamespaceSchema, { name: "responses", ack: "one" })],
    }),
  });
  const instance = create(InstanceSchema, {
    instanceId: ulid(),
    address: runtime.address,
    services: [CACHE_SERVICE],
    weight: 1,
    state: InstanceState.SERVING,
  });
  const announcement = announce({ endpoints, instance });
  await announcement.ready;
  return { runtime, announcement };
}

function config(more: { registry?: { endpoints: string[] } }): Config {
  const free = "127.0.0.1:0";
  return create(ConfigSchema, {
    listen: free,
    control: free,
    admin: free,
    log: { level: "fatal" },
    drainTimeout: { seconds: 1n },
    ...more,
  });
}

/** Waits for what is only a matter of time; an error counts as no. Rejects after half a minute. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const dueAt = performance.now() + 30_000;
  while (!(await condition().catch(() => false))) {
    if (performance.now() > dueAt) throw new Error(`it never came about: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
