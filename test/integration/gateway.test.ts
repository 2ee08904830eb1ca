import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type DescService } from "@bufbuild/protobuf";
import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { Code, createClient, type ServiceImpl } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { ulid } from "ulid";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/ts/grpc/health/v1/health_pb.ts";
import { InstanceSchema } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import {
  EchoService,
  file_heddle_testing_v1_echo_service as echoFile,
} from "../../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { learn } from "../../gateway/routes/descriptors.ts";
import { filesOf } from "../../gateway/routes/echo.fixture.ts";
import { createEchoService } from "../../gateway/testing/echo-service.ts";
import { learnAt } from "../../gateway/upstreams/dial.ts";
import { announce } from "../../mesh/registry/announce.ts";
import { descriptorDigest } from "../../mesh/registry/digest.ts";
import { createChannel } from "../../mesh/rpc/channel.ts";
import { createRpcServer, service } from "../../mesh/rpc/server.ts";
import { createTransport } from "../../mesh/rpc/transport.ts";
import { startEcho, startGateway, type GatewayProcess } from "../support/gateway.ts";
import type { NodeProcess } from "../support/node-process.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function upstreams(...addresses: string[]): string {
  const lines = addresses.map((address, index) => `  - name: server-${index}\n    address: ${address}`);
  return ["upstreams:", ...lines].join("\n");
}

async function get(url: string): Promise<{ status: number; json: unknown }> {
  const response = await fetch(url);
  return { status: response.status, json: await response.json() };
}

describe("a gateway with nothing but upstreams", () => {
  let echo: NodeProcess;
  let gateway: GatewayProcess;
  beforeAll(async () => {
    echo = await startEcho();
    gateway = await startGateway(upstreams(echo.ready["address"]!, "127.0.0.1:1"));
  });
  afterAll(async () => {
    expect(await gateway.stop()).toBe(0);
    expect(await echo.stop()).toBe(0);
  });

  test("is ready though one of them is away", async () => {
    expect((await fetch(`${gateway.admin}/readyz`)).status).toBe(200);
    expect(gateway.logged.filter(({ msg }) => msg === "an upstream is away; trying on")).toMatchObject([
      { upstream: "server-1", address: "127.0.0.1:1" },
    ]);
  });

  test("speaks REST", async () => {
    const { status, json } = await get(`${gateway.url}/v1/items/7`);
    expect([status, json]).toMatchObject([200, { item: { itemId: "7" } }]);
    const missing = await fetch(`${gateway.url}/v1/echo`, { method: "DELETE" });
    expect([missing.status, missing.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS, POST"]);
    const lines = await fetch(`${gateway.url}/v1/count/3`, { headers: { accept: "application/x-ndjson" } });
    expect((await lines.text()).trimEnd().split("\n")).toHaveLength(3);
    const events = await fetch(`${gateway.url}/v1/count/3`, { headers: { accept: "text/event-stream" } });
    expect(await events.text()).toContain("id: 3\ndata: ");
  });

  test("speaks gRPC, gRPC-Web and Connect", async () => {
    const channel = createChannel({ address: gateway.edge });
    const options = { baseUrl: gateway.url, httpVersion: "2" } as const;
    for (const transport of [
      createTransport(channel),
      createGrpcWebTransport(options),
      createConnectTransport(options),
    ]) {
      const client = createClient(EchoService, transport);
      expect(await client.cancelItem({ itemId: "7" })).toMatchObject({ itemId: "7" });
      await expect(client.fail({ code: 9, message: "no" })).rejects.toMatchObject({
        code: Code.FailedPrecondition,
      });
    }
    await channel.close();
  });

  test("reflects the services of the mesh, and their health", async () => {
    const api = await learnAt(gateway.edge, AbortSignal.timeout(5000));
    expect(api.services).toEqual(["heddle.testing.v1.EchoService"]);
    const names = api.files.map(({ name }) => name);
    expect(names).toContain("heddle/testing/v1/echo_service.proto");
    expect(names).toContain("google/api/annotations.proto");
    const channel = createChannel({ address: gateway.edge });
    const health = createClient(Health, createTransport(channel));
    expect((await health.check({})).status).toBe(Status.SERVING);
    expect((await health.check({ service: "heddle.testing.v1.EchoService" })).status).toBe(Status.SERVING);
    await expect(health.check({ service: "no.Such" })).rejects.toMatchObject({ code: Code.NotFound });
    await channel.close();
  });

  test("is understood by grpcurl", { skip: spawnSync("grpcurl", ["--version"]).error !== undefined }, () => {
    const grpcurl = (...args: string[]) =>
      spawnSync("grpcurl", ["-plaintext", ...args], { encoding: "utf8" }).stdout;
    expect(grpcurl(gateway.edge, "list").split("\n")).toContain("heddle.testing.v1.EchoService");
    expect(grpcurl(gateway.edge, "describe", "heddle.testing.v1.EchoService")).toContain("rpc CancelItem");
    const method = "heddle.testing.v1.EchoService/CancelItem";
    expect(grpcurl("-d", '{"item_id":"7"}', gateway.edge, method)).toContain('"itemId": "7"');
  });

  test("shows its routes, instances and metrics", async () => {
    const routes = (await get(`${gateway.admin}/routes`)).json as { routes: object[]; problems: object[] };
    expect(routes.routes).toContainEqual({
      httpMethod: "GET",
      template: "/v1/items/{item_id}",
      rpc: "heddle.testing.v1.EchoService/GetItem",
      kind: "unary",
      idempotency: "no_side_effects",
    });
    expect(routes.problems).toEqual([]);
    const { json } = await get(`${gateway.admin}/instances`);
    expect((json as { instances: object[] }).instances).toMatchObject([
      { address: echo.ready["address"], state: "INSTANCE_STATE_SERVING", labels: { upstream: "server-0" } },
    ]);
    const metrics = await (await fetch(`${gateway.admin}/metrics`)).text();
    expect(metrics).toMatch(
      /gateway_requests_total\{protocol="grpc",route="\/heddle.testing.v1.EchoService\/CancelItem"/,
    );
  });
});

test("an upstream that goes away and comes back", async () => {
  const echo = await startEcho();
  const address = echo.ready["address"]!;
  const gateway = await startGateway(upstreams(address));
  closers.push(() => gateway.stop());
  await echo.stop("SIGKILL");
  const status = async () => (await fetch(`${gateway.url}/v1/items/7`)).status;
  // Its API is known, so that its calls are unavailable rather than unknown.
  await expect.poll(status).toBe(503);
  expect((await fetch(`${gateway.url}/v1/nothing`)).status).toBe(404);
  const again = await startEcho({ HEDDLE__LISTEN: address });
  closers.push(() => again.stop());
  await expect.poll(status, { timeout: 15_000 }).toBe(200);
});

/** An instance in this process that offers a descriptor of its own, registered with a gateway. */
async function register(
  gateway: GatewayProcess,
  desc: DescService,
  name: string,
  version = "1.0.0",
): Promise<() => Promise<void>> {
  const implementation = createEchoService({ name }) as unknown as Partial<ServiceImpl<DescService>>;
  const server = createRpcServer({ services: [service(desc, implementation)] });
  const address = await server.listen("127.0.0.1:0");
  const announcement = announce({
    endpoints: [gateway.control],
    instance: create(InstanceSchema, {
      instanceId: ulid(),
      address,
      version,
      services: [desc.typeName],
      descriptorDigest: descriptorDigest([desc]),
    }),
  });
  await announcement.ready;
  const leave = async () => {
    await announcement.close();
    await server.close();
  };
  closers.push(leave);
  return leave;
}

/** The echo service as other files declare it. */
function changedEcho(change: (file: FileDescriptorProto) => void): DescService {
  const files = filesOf(echoFile);
  change(files[0]!);
  return [...learn(files).services.values()][0]!;
}

/** The echo service before it had CancelItem. */
function olderEcho(): DescService {
  return changedEcho((file) => {
    const [echo] = file.service;
    echo!.method = echo!.method.filter(({ name }) => name !== "CancelItem");
  });
}

describe("registered instances", () => {
  test("are learned and called a moment after they register, and no longer once they leave", async () => {
    const gateway = await startGateway("");
    closers.push(() => gateway.stop());
    expect((await fetch(`${gateway.url}/v1/items/7`)).status).toBe(404);
    const leave = await register(gateway, EchoService, "one");
    const status = async () => (await fetch(`${gateway.url}/v1/items/7`)).status;
    await expect.poll(status).toBe(200);
    await leave();
    await expect.poll(status).toBe(503);
  });

  test("of two versions are each called for what they have", async () => {
    const gateway = await startGateway("");
    closers.push(() => gateway.stop());
    await register(gateway, olderEcho(), "old", "1.0.0");
    const cancel = () => fetch(`${gateway.url}/v1/items/7:cancel`, { method: "POST" });
    await expect.poll(async () => (await fetch(`${gateway.url}/v1/inspect`)).status).toBe(200);
    // The path is one of an item of GetItem, too.
    expect((await cancel()).status).toBe(405);

    const leave = await register(gateway, EchoService, "new", "1.1.0");
    await expect.poll(async () => (await cancel()).status).toBe(200);
    const servers = new Set<unknown>();
    for (let i = 0; i < 40; i++) {
      expect((await cancel()).status).toBe(200);
      const { json } = await get(`${gateway.url}/v1/inspect`);
      servers.add((json as { server: string }).server);
    }
    expect(servers).toEqual(new Set(["new", "old"]));

    await leave();
    await expect.poll(async () => (await cancel()).status).not.toBe(200);
    expect((await fetch(`${gateway.url}/v1/inspect`)).status).toBe(200);
  });

  test("with routes that others have are told so, and all else works", async () => {
    const gateway = await startGateway("");
    closers.push(() => gateway.stop());
    await register(gateway, EchoService, "first");
    await expect.poll(async () => (await fetch(`${gateway.url}/v1/inspect`)).status).toBe(200);
    const rival = changedEcho((file) => {
      file.name = "rival/v1/echo_service.proto";
      const [echo] = file.service;
      echo!.name = "RivalService";
    });
    await register(gateway, rival, "second");
    const instances = async () => {
      const { json } = await get(`${gateway.admin}/instances`);
      return (json as { instances: { services: string[]; problems: string[] }[] }).instances;
    };
    const problems = async () =>
      (await instances()).find(({ services }) => services[0]?.endsWith("RivalService") === true)?.problems ??
      [];
    await expect.poll(async () => (await problems()).length).toBeGreaterThan(5);
    expect((await problems()).join("\n")).toContain(
      "GET /v1/inspect matches the same requests as GET /v1/inspect of",
    );
    expect(((await get(`${gateway.url}/v1/inspect`)).json as { server: string }).server).toBe("first");
    const rpc = await fetch(`${gateway.url}/heddle.testing.v1.RivalService/Inspect`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(((await rpc.json()) as { server: string }).server).toBe("second");
    expect(gateway.logged.some(({ msg }) => String(msg).startsWith("a route is refused"))).toBe(true);
  });
});

describe("a gateway that stops", () => {
  test("says so, finishes its calls, and exits with 0", async () => {
    const echo = await startEcho();
    closers.push(() => echo.stop());
    const gateway = await startGateway(upstreams(echo.ready["address"]!));
    const before = await fetch(`${gateway.url}/v1/items/7`);
    expect(before.status).toBe(200);
    const running = fetch(`${gateway.url}/v1/wait?duration=4s`);
    const metrics = async () => (await fetch(`${gateway.admin}/metrics`)).text();
    await expect.poll(metrics).toMatch(/grpc_client_started_total{.*grpc_method="Wait"} 1/);
    const exit = gateway.stop();
    await expect.poll(async () => (await fetch(`${gateway.admin}/readyz`)).status).toBe(503);
    const response = await running;
    expect([response.status, response.headers.get("connection")]).toEqual([200, "close"]);
    expect(await exit).toBe(0);
  });
});

describe("a gateway that cannot start", () => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-wrong-"));
  const blockers: Server[] = [];
  afterAll(() => {
    for (const server of blockers) server.close();
    rmSync(folder, { recursive: true });
  });

  function start(yaml: string) {
    const file = join(folder, "gateway.yaml");
    writeFileSync(file, yaml);
    const { status, stderr, stdout } = spawnSync(process.execPath, ["gateway/main.ts", "--config", file], {
      encoding: "utf8",
      timeout: 20_000,
    });
    return { status, stderr, stdout };
  }

  test("tells everything that is wrong with its configuration", () => {
    const { status, stderr } = start(
      "listen: nowhere\nlisten_to: x\nupstreams: [{ nam: a }]\nedge: { max_body_bytes: lots }",
    );
    expect(status).toBe(64);
    for (const path of ["listen_to", "upstreams[0].nam", "edge.max_body_bytes"])
      expect(stderr).toContain(path);
  });

  test.each(["listen", "control", "admin"])(
    "names the address and the key of a port that is taken: %s",
    async (key) => {
      const blocker = createServer().listen(0, "127.0.0.1");
      blockers.push(blocker);
      await once(blocker, "listening");
      const taken = `127.0.0.1:${(blocker.address() as AddressInfo).port}`;
      const ports = { listen: "127.0.0.1:0", control: "127.0.0.1:0", admin: "127.0.0.1:0", [key]: taken };
      const { status, stderr, stdout } = start(JSON.stringify(ports));
      expect(status).toBe(69);
      expect(stderr).toContain(`${key}: `);
      expect(stderr).toContain(taken);
      expect(stdout).not.toContain("ready");
    },
  );
});
