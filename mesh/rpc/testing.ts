/** The harness of the tests here: servers on free ports, an instance set to change by hand, a log to read. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { create } from "@bufbuild/protobuf";
import type { ServiceImplSpec } from "@connectrpc/connect";
import { onTestFinished } from "vitest";
import { EchoService } from "../../gen/ts/heddle/echo/v1/echo_pb.ts";
import { InstanceSchema, type Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { createLog, type Logger } from "../observe/log.ts";
import type { Resolver } from "../registry/instances.ts";
import { createNotice } from "../registry/notice.ts";
import { createChannel, type Channel, type ChannelOptions } from "./channel.ts";
import { createEcho } from "./echo.ts";
import { createRpcServer, service, type RpcServer, type RpcServerOptions } from "./server.ts";

/** A server that runs until the test is over. Without options it offers the echo service. */
export async function startServer(
  options: Partial<RpcServerOptions> = {},
): Promise<{ readonly server: RpcServer; readonly address: string }> {
  const server = createRpcServer({ services: [echoSpec()], ...options });
  onTestFinished(() => server.close());
  return { server, address: await server.listen("127.0.0.1:0") };
}

/** The echo service, as `services` wants it. */
export function echoSpec(...args: Parameters<typeof createEcho>): ServiceImplSpec {
  return service(EchoService, createEcho(...args));
}

/** A channel that is open until the test is over. */
export function openChannel(options: ChannelOptions): Channel {
  const channel = createChannel(options);
  onTestFinished(() => channel.close());
  return channel;
}

/** A way to a server that can be cut at once, as `kill -9` of the server would. */
export async function startProxy(
  address: string,
): Promise<{ readonly address: string; readonly cut: () => void }> {
  const [host = "", port = ""] = address.split(":");
  const sockets = new Set<Socket>();
  const proxy = createServer((incoming) => {
    const outgoing = connect(Number(port), host);
    for (const socket of [incoming, outgoing]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
    }
    incoming.pipe(outgoing).pipe(incoming);
  });
  const cut = () => {
    proxy.close();
    for (const socket of sockets) socket.resetAndDestroy();
  };
  onTestFinished(cut);
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return { address: `127.0.0.1:${(proxy.address() as AddressInfo).port}`, cut };
}

/** A resolver that answers every service with the same addresses, which may be changed. */
export function createFakeResolver(
  ...addresses: readonly string[]
): Resolver & { set(...addresses: readonly string[]): void } {
  const change = createNotice();
  let instances = addresses.map(fakeInstance);
  return {
    watch: () => ({
      current: () => instances,
      serving: () => instances,
      changed: (signal) => change.next(signal),
    }),
    ready: () => Promise.resolve(),
    close: () => Promise.resolve(),
    set(...next) {
      instances = next.map(fakeInstance);
      change.notify();
    },
  };
}

function fakeInstance(address: string): Instance {
  return create(InstanceSchema, { instanceId: address, address, weight: 1 });
}

/** A log, and its lines as they come. */
export function createTestLog(): { readonly log: Logger; readonly lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
  return { log: createLog({ service: "test", level: "debug" }, { write }), lines };
}

/** What a promise rejects with. */
export async function failureOf<T = Error>(promise: Promise<unknown>): Promise<T> {
  try {
    await promise;
  } catch (error) {
    return error as T;
  }
  throw new Error("expected a failure");
}
