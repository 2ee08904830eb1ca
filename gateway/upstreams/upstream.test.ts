import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InstanceState } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { create } from "@bufbuild/protobuf";
import { UpstreamSchema } from "../../gen/ts/heddle/config/v1/config_pb.ts";
import { EchoService } from "../../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { systemClock } from "../../mesh/clock.ts";
import { createLog } from "../../mesh/observe/log.ts";
import { createRpcServer, service, type RpcServer } from "../../mesh/rpc/server.ts";
import { createRegistry, type Registry } from "../registry/registry.ts";
import { createMemoryStore } from "../registry/stores/memory.ts";
import { createEchoService } from "../testing/echo-service.ts";
import { createCatalog, type Catalog } from "./catalog.ts";
import { followUpstream } from "./upstream.ts";

let registry: Registry;
let catalog: Catalog;
let stop: AbortController;
let servers: RpcServer[];
let logged: string[];

beforeEach(() => {
  registry = createRegistry({ store: createMemoryStore() });
  stop = new AbortController();
  servers = [];
  logged = [];
  const log = createLog({ service: "gateway" }, { write: (line) => void logged.push(line) });
  const learn = () => Promise.reject(new Error("nobody else is asked"));
  catalog = createCatalog({ registry, learn, log, clock: systemClock, random: () => 0 });
});
afterEach(async () => {
  stop.abort();
  catalog.close();
  await registry.close();
  await Promise.all(servers.map((server) => server.close()));
});

async function startServer(address: string): Promise<{ server: RpcServer; address: string }> {
  const server = createRpcServer({ services: [service(EchoService, createEchoService())] });
  servers.push(server);
  return { server, address: await server.listen(address) };
}

function follow(address: string): Promise<void> {
  const log = createLog({ service: "gateway" }, { write: (line) => void logged.push(line) });
  return followUpstream(create(UpstreamSchema, { name: "echo", address }), {
    registry,
    catalog,
    log,
    clock: systemClock,
    random: () => 0,
    signal: stop.signal,
  });
}

/** States of what is registered. */
function states(): InstanceState[] {
  return [...registry.instances().values()].map(({ state }) => state);
}

/** A connection that can be cut, and nothing else known of it by either side. */
async function startCut(
  target: string,
): Promise<{ address: string; cut: () => void; connections: () => number }> {
  const [host = "", port] = target.split(":");
  const sockets = new Set<Socket>();
  let connections = 0;
  const server: Server = createServer((near) => {
    connections += 1;
    const far = connect(Number(port), host);
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  stop.signal.addEventListener("abort", () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: () => sockets.forEach((socket) => socket.destroy()),
    connections: () => connections,
  };
}

describe("followUpstream", () => {
  test("puts a server into the registry, with its API, and takes it out in the end", async () => {
    const { address } = await startServer("127.0.0.1:0");
    await follow(address);
    expect([...registry.instances().values()]).toMatchObject([
      { address, services: ["heddle.testing.v1.EchoService"], labels: { upstream: "echo" } },
    ]);
    expect(catalog.table().services).toEqual(["heddle.testing.v1.EchoService"]);
    stop.abort();
    await expect.poll(states).toEqual([]);
  });

  test("resolves for a server that is away, tells it once, and finds it when it comes", async () => {
    const { server, address } = await startServer("127.0.0.1:0");
    await server.close();
    await follow(address);
    expect(states()).toEqual([]);
    await startServer(address);
    await expect.poll(states).toEqual([InstanceState.SERVING]);
    expect(logged.filter((line) => line.includes("is away"))).toHaveLength(1);
  });

  test("keeps a server whose connection ends, and learns it again", async () => {
    const { address } = await startServer("127.0.0.1:0");
    const cut = await startCut(address);
    await follow(cut.address);
    const seen = new Set<number>();
    registry.watch(({ added, removed }) => void seen.add(added.length - removed.length));
    cut.cut();
    await expect.poll(cut.connections).toBeGreaterThan(1);
    const connected = () => logged.filter((line) => line.includes("is connected")).length;
    await expect.poll(connected).toBe(2);
    expect([...seen].some((change) => change < 0)).toBe(false);
    expect(states()).toEqual([InstanceState.SERVING]);
  });

  test("takes calls away from a server that says that it is not serving", async () => {
    const { server, address } = await startServer("127.0.0.1:0");
    await follow(address);
    server.health.set("", false);
    await expect.poll(states).toEqual([InstanceState.STARTING]);
    server.health.set("", true);
    await expect.poll(states).toEqual([InstanceState.SERVING]);
  });

  test("takes a server out that is gone", async () => {
    const { server, address } = await startServer("127.0.0.1:0");
    await follow(address);
    await server.close();
    await expect.poll(states).toEqual([]);
  });
});
