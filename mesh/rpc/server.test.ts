import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient, type ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/ts/grpc/health/v1/health_pb.ts";
import { EchoService } from "../../gen/ts/heddle/echo/v1/echo_pb.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { hasReason } from "../errors.ts";
import { service } from "./server.ts";
import { failureOf, openChannel, startServer } from "./testing.ts";
import { createTransport } from "./transport.ts";

async function start(...args: Parameters<typeof startServer>) {
  const { server, address } = await startServer(...args);
  const transport = createTransport(openChannel({ address }));
  return { server, address, transport, echo: createClient(EchoService, transport) };
}

describe("drain", () => {
  test("lets calls finish, takes no new ones, and resolves when nothing is left", async () => {
    const { server, echo } = await start();
    await echo.echo({ text: "connect" });
    const slow = echo.echo({ text: "slow", delay: durationFromMs(100) });
    await echo.echo({ text: "" }); // The slow call has arrived by now.
    const drained = server.drain(5000);
    expect((await slow).text).toBe("slow");
    await drained;
    expect(await failureOf(echo.echo({ text: "late" }))).toMatchObject({ code: Code.Unavailable });
  });

  test("ends what is left after the grace with UNAVAILABLE, and its handlers are told", async () => {
    const told = Promise.withResolvers<unknown>();
    const begun = Promise.withResolvers<void>();
    const { server, echo } = await start({
      services: [
        service(EchoService, {
          record(_, { signal }) {
            signal.addEventListener("abort", () => told.resolve(signal.reason));
            begun.resolve();
            return new Promise(() => undefined);
          },
        }),
      ],
    });
    const failure = failureOf<ConnectError>(echo.record({}, { timeoutMs: 5000 }));
    await begun.promise;
    await server.drain(20);
    expect((await failure).code).toBe(Code.Unavailable);
    expect(hasReason(await failure, Reason.DRAINING)).toBe(true);
    expect(hasReason(await told.promise, Reason.DRAINING)).toBe(true);
  });

  test("tells watchers of its health, and does not wait for them", async () => {
    const { server, transport } = await start();
    const statuses: Status[] = [];
    const error = await failureOf<ConnectError>(
      (async () => {
        let drained: Promise<void> | undefined;
        for await (const { status } of createClient(Health, transport).watch({})) {
          statuses.push(status);
          drained ??= server.drain(5000);
        }
        await drained;
      })(),
    );
    expect(statuses).toEqual([Status.SERVING, Status.NOT_SERVING]);
    expect(error.code).toBe(Code.Unavailable);
    expect(hasReason(error, Reason.DRAINING)).toBe(true);
  });
});

describe("health", () => {
  test("knows the server and each service", async () => {
    const { server, transport } = await start();
    const health = createClient(Health, transport);
    expect((await health.check({})).status).toBe(Status.SERVING);
    expect((await health.check({ service: EchoService.typeName })).status).toBe(Status.SERVING);
    server.health.set(EchoService.typeName, false);
    const { statuses } = await health.list({});
    expect(statuses[""]?.status).toBe(Status.SERVING);
    expect(statuses[EchoService.typeName]?.status).toBe(Status.NOT_SERVING);
    expect(await failureOf(health.check({ service: "no.such.Service" }))).toMatchObject({
      code: Code.NotFound,
    });
  });

  test("is watched change by change, also for a service that is not known yet", async () => {
    const { server, transport } = await start();
    const seen: Status[] = [];
    for await (const { status } of createClient(Health, transport).watch({ service: "later.Service" })) {
      seen.push(status);
      if (seen.length === 1) server.health.set("later.Service", true);
      if (seen.length === 2) server.health.set("later.Service", false);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([Status.SERVICE_UNKNOWN, Status.SERVING, Status.NOT_SERVING]);
  });
});

describe("validation", () => {
  test("names each field that is wrong", async () => {
    const { echo } = await start();
    const error = await failureOf<ConnectError>(
      echo.echo({ code: 99, parts: [{ quantity: 1 }, { quantity: 0 }] }),
    );
    expect(error.code).toBe(Code.InvalidArgument);
    expect(hasReason(error, Reason.INVALID_FIELD)).toBe(true);
    expect(error.rawMessage).toContain("code: ");
    expect(error.rawMessage).toContain("parts[1].quantity: ");
    expect(error.rawMessage).not.toContain("parts[0]");
  });

  test("checks each message of a stream", async () => {
    const { echo } = await start();
    async function* talk() {
      yield { text: "fine" };
      yield { text: "x".repeat(2000) };
    }
    const heard: string[] = [];
    const error = await failureOf(
      (async () => {
        for await (const { text } of echo.talk(talk())) heard.push(text);
      })(),
    );
    expect(heard).toEqual(["fine"]);
    expect(error).toMatchObject({ code: Code.InvalidArgument });
  });
});

test("an address that is taken is named", async () => {
  const { address } = await start();
  const { server } = await startServer();
  await expect(server.listen(address)).rejects.toThrow(`cannot listen on ${address}`);
});
