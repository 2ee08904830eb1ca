import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import { EchoService } from "../gen/ts/heddle/echo/v1/echo_pb.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../gen/ts/grpc/health/v1/health_pb.ts";
import {
  RegistryService,
  type Instance,
  type SessionRequest,
} from "../gen/ts/heddle/registry/v1/registry_pb.ts";
import { loadConfig } from "./config.ts";
import { createMesh } from "./mesh.ts";
import { silentLog } from "./observe/log.ts";
import { createRpcServer, service } from "./rpc/server.ts";
import { echoSpec, openChannel } from "./rpc/testing.ts";
import { createTransport } from "./rpc/transport.ts";
import { serve, type ServeOptions } from "./serve.ts";

async function start(options: Partial<ServeOptions> = {}) {
  const mesh = createMesh({ name: "echo", config: loadConfig([], {}), log: silentLog });
  const served = await serve(mesh, { services: [echoSpec()], signals: false, lameDuckMs: 0, ...options });
  onTestFinished(() => served.stop());
  const transport = createTransport(openChannel({ address: served.address }));
  return { served, transport, echo: createClient(EchoService, transport) };
}

async function get(address: string, path: string) {
  const response = await fetch(`http://${address}${path}`);
  return { status: response.status, text: await response.text() };
}

describe("serve", () => {
  test("offers the services, health and the admin port", async () => {
    const { served, transport, echo } = await start();
    expect((await echo.echo({ text: "hello" })).text).toBe("hello");
    expect(await createClient(Health, transport).check({})).toMatchObject({ status: Status.SERVING });
    expect(await get(served.admin, "/healthz")).toEqual({ status: 200, text: "ok\n" });
    expect((await get(served.admin, "/readyz")).status).toBe(200);
    expect((await get(served.admin, "/nowhere")).status).toBe(404);
    const { text } = await get(served.admin, "/metrics");
    expect(text).toContain(
      'grpc_server_handled_total{grpc_type="unary",grpc_service="heddle.echo.v1.EchoService",grpc_method="Echo",grpc_code="OK"} 1',
    );
  });

  test("takes no calls before it is ready, and closes what it used after the last one", async () => {
    const order: string[] = [];
    const { served, echo } = await start({
      ready: async () => order.push("ready"),
      stop: async () => order.push("stop"),
    });
    const call = echo.echo({ text: "slow", delay: durationFromMs(100) }).then(() => order.push("answered"));
    await echo.echo({ text: "" }); // The slow call has arrived by now.
    await served.stop();
    await call;
    expect(order).toEqual(["ready", "answered", "stop"]);
  });

  test("announces the lease that it asks for, and that only the mesh calls it", async () => {
    const announced = Promise.withResolvers<Instance>();
    const registry = createRpcServer({ services: [service(RegistryService, { session })] });
    onTestFinished(() => registry.close());
    async function* session(requests: AsyncIterable<SessionRequest>) {
      for await (const { event } of requests) {
        if (event.case === "leave") return;
        if (event.case === "register") announced.resolve(event.value);
        yield { event: { case: "lease" as const, value: {} } };
      }
    }
    const config = loadConfig([], { HEDDLE__REGISTRY__ENDPOINTS: await registry.listen("127.0.0.1:0") });
    const mesh = createMesh({ name: "echo", config, log: silentLog });
    const options = { services: [echoSpec()], signals: false, lameDuckMs: 0, leaseMs: 3000, internal: true };
    const served = await serve(mesh, options);
    onTestFinished(() => served.stop());
    const { leaseTtl, internal } = await announced.promise;
    expect(leaseTtl).toEqual(durationFromMs(3000));
    expect(internal).toBe(true);
  });

  test("says which address is taken", async () => {
    const { served } = await start();
    const config = loadConfig([], { HEDDLE__LISTEN: served.address });
    const mesh = createMesh({ name: "echo", config, log: silentLog });
    onTestFinished(() => mesh.close());
    await expect(serve(mesh, { services: [echoSpec()], signals: false })).rejects.toThrow(
      `cannot listen on ${served.address}`,
    );
  });
});
