import { createServer, type Server, type Socket } from "node:net";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import { EchoService } from "../../gen/ts/heddle/echo/v1/echo_pb.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { hasReason } from "../errors.ts";
import { createMetrics } from "../observe/metrics.ts";
import { createEcho } from "./echo.ts";
import { createRpcServer, service, type RpcServerOptions } from "./server.ts";
import {
  createFakeResolver,
  createTestLog,
  echoSpec,
  failureOf,
  openChannel,
  startProxy,
  startServer,
} from "./testing.ts";
import { createTransport } from "./transport.ts";

function connect(options: Parameters<typeof openChannel>[0]) {
  return createClient(EchoService, createTransport(openChannel(options)));
}

async function startEchos(count: number, options: Partial<RpcServerOptions> = {}) {
  const servers = await Promise.all(
    Array.from({ length: count }, (_, i) => startServer({ services: [echoSpec(`${i}`)], ...options })),
  );
  return { servers, resolver: createFakeResolver(...servers.map(({ address }) => address)) };
}

/** Calls at a steady pace until `enough`, and returns all errors. */
async function load(call: () => Promise<unknown>, enough: () => boolean): Promise<ConnectError[]> {
  const errors: ConnectError[] = [];
  const running: Promise<unknown>[] = [];
  while (!enough()) {
    running.push(call().catch((error: ConnectError) => errors.push(error)));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await Promise.all(running);
  return errors;
}

describe("a rolling restart", () => {
  test("fails no call, not even one that may not be repeated", async () => {
    const recorded: string[] = [];
    const options = { services: [echoSpec("", recorded)] };
    let first = await startServer(options);
    const second = await startServer(options);
    const resolver = createFakeResolver(first.address, second.address);
    const client = connect({ resolver });
    let restarted = 0;
    let calls = 0;
    const restarts = (async () => {
      for (; restarted < 3; restarted++) {
        const next = await startServer(options);
        resolver.set(first.address, next.address);
        await first.server.drain(5000);
        first = next;
      }
    })();
    const errors = await load(
      () => client.record({ id: `${calls++}` }),
      () => restarted === 3,
    );
    await restarts;
    expect(errors).toEqual([]);
    expect(recorded.length).toBe(calls);
    expect(new Set(recorded).size).toBe(calls);
  });
});

describe("an instance that goes without a word", () => {
  test("costs no call that may be repeated, and changes run at most once", async () => {
    const recorded: string[] = [];
    const options = { services: [echoSpec("", recorded)] };
    const [doomed, other] = [await startServer(options), await startServer(options)];
    const proxy = await startProxy(doomed.address);
    const client = connect({ resolver: createFakeResolver(proxy.address, other.address) });
    await Promise.all(Array.from({ length: 20 }, () => client.echo({ text: "" })));
    let calls = 0;
    const over = () => calls >= 150;
    const reads = load(() => client.echo({ text: "", delay: durationFromMs(5) }), over);
    const changes = await load(() => {
      if (calls === 50) proxy.cut();
      return client.record({ id: `${calls++}` });
    }, over);
    expect(await reads).toEqual([]);
    for (const error of changes) expect(error.code).toBe(Code.Unavailable);
    expect(new Set(recorded).size).toBe(recorded.length);
    expect(recorded.length).toBeGreaterThanOrEqual(calls - changes.length);
  });

  test("a change in flight there fails as UNAVAILABLE and is not sent again", async () => {
    let runs = 0;
    const begun = Promise.withResolvers<void>();
    const { address } = await startServer({
      services: [
        service(EchoService, {
          record() {
            runs += 1;
            begun.resolve();
            return new Promise(() => undefined);
          },
        }),
      ],
    });
    const proxy = await startProxy(address);
    const failure = failureOf<ConnectError>(connect({ address: proxy.address }).record({ id: "1" }));
    await begun.promise;
    proxy.cut();
    const error = await failure;
    expect(error.code).toBe(Code.Unavailable);
    expect(hasReason(error, Reason.CONNECTION_LOST)).toBe(true);
    expect(runs).toBe(1);
  });

  test("is called again once it is back", async () => {
    const { address, server } = await startServer();
    const client = connect({ address });
    await client.echo({ text: "" });
    await server.close();
    await failureOf(client.echo({ text: "" }));
    const again = createRpcServer({ services: [echoSpec("again")] });
    onTestFinished(() => again.close());
    await again.listen(address);
    await expect
      .poll(() => client.echo({ text: "" }).then(({ instance }) => instance, String), { timeout: 5000 })
      .toBe("again");
  });
});

describe("an instance that answers UNAVAILABLE", () => {
  const broken = service(EchoService, {
    ...createEcho(),
    echo: () => {
      throw new ConnectError("no database", Code.Unavailable);
    },
  });

  test("costs no call while there is another, and is left alone after five", async () => {
    const { log, lines } = createTestLog();
    const metrics = createMetrics({ process: false });
    const bad = await startServer({ services: [broken] });
    const good = await startServer();
    const client = connect({ resolver: createFakeResolver(bad.address, good.address), log, metrics });
    for (let i = 0; i < 100; i++) await client.echo({ text: "" });
    expect(lines.filter(({ msg }) => String(msg).includes("ejected"))).toHaveLength(1);
    const text = await metrics.registry.metrics();
    expect(text).toContain('mesh_lb_ejections_total{grpc_service="heddle.echo.v1.EchoService"} 1');
    expect(text).toMatch(
      /grpc_client_attempt_handled_total\{.*grpc_method="Echo",grpc_code="UNAVAILABLE"\} 5/,
    );
    expect(text).toMatch(/grpc_client_handled_total\{.*grpc_method="Echo",grpc_code="OK"\} 100/);
  });

  test("is told of the attempt, and leaves further retries to the caller", async () => {
    const attempts: number[] = [0, 0];
    const last = await startServer({
      services: [
        service(EchoService, {
          echo() {
            attempts[1]! += 1;
            throw new ConnectError("no database", Code.Unavailable);
          },
        }),
      ],
    });
    const inner = connect({ address: last.address });
    const middle = await startServer({
      services: [
        service(EchoService, {
          echo(request) {
            attempts[0]! += 1;
            return inner.echo(request);
          },
        }),
      ],
    });
    await failureOf(connect({ address: middle.address }).echo({ text: "" }));
    // The first attempt retries below; the second and third do not.
    expect(attempts).toEqual([3, 5]);
  });
});

describe("without a living instance", () => {
  test("a call fails with NO_ENDPOINT", async () => {
    const client = connect({ resolver: createFakeResolver() });
    const error = await failureOf(client.echo({ text: "" }));
    expect(error).toMatchObject({ code: Code.Unavailable });
    expect(hasReason(error, Reason.NO_ENDPOINT)).toBe(true);
  });

  test("a call fails with CONNECT_FAILED if none can be reached", async () => {
    const { address, server } = await startServer();
    await server.close();
    const error = await failureOf(connect({ address }).echo({ text: "" }));
    expect(error).toMatchObject({ code: Code.Unavailable });
    expect(hasReason(error, Reason.CONNECT_FAILED)).toBe(true);
  });

  test("a call ends at its deadline if the instance does not even answer the connection", async () => {
    const address = await listenSilently();
    const error = await failureOf(connect({ address }).echo({ text: "" }, { timeoutMs: 80 }));
    expect(error).toMatchObject({ code: Code.DeadlineExceeded });
  });

  test("a call is given up with its caller while it waits for a connection", async () => {
    const address = await listenSilently();
    const caller = new AbortController();
    setTimeout(() => caller.abort(), 30);
    const error = await failureOf(connect({ address }).echo({ text: "" }, { signal: caller.signal }));
    expect(error).toMatchObject({ code: Code.Canceled });
  });
});

test("instances that come and go are followed", async () => {
  const { servers, resolver } = await startEchos(3);
  const [a, b, c] = servers.map(({ address }) => address) as [string, string, string];
  resolver.set(a);
  const client = connect({ resolver });
  const hear = async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, () => client.echo({ text: "" })));
    return [...new Set(answers.map(({ instance }) => instance))].sort().join();
  };
  expect(await hear()).toBe("0");
  resolver.set(b, c);
  await expect.poll(hear).toBe("1,2");
});

/** A server that accepts connections and says nothing. */
async function listenSilently(): Promise<string> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}
