import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/ts/google/rpc/error_details_pb.ts";
import { EchoService } from "../../gen/ts/heddle/echo/v1/echo_pb.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { errorInfo, hasReason, invalidArgument, retryAfterMs, rpcError } from "../errors.ts";
import { createEcho } from "./echo.ts";
import { service, type RpcServerOptions } from "./server.ts";
import { createTestLog, failureOf, openChannel, startServer } from "./testing.ts";
import { createTransport } from "./transport.ts";

async function start(thrown: unknown, options: Partial<RpcServerOptions> = {}) {
  const fail = () => {
    throw thrown;
  };
  const { address } = await startServer({
    services: [service(EchoService, { ...createEcho(), echo: fail, repeat: failLater(thrown) })],
    ...options,
  });
  return createClient(EchoService, createTransport(openChannel({ address })));
}

function failLater(thrown: unknown) {
  return async function* () {
    yield { text: "first" };
    throw thrown;
  };
}

describe("errors of handlers", () => {
  test("arrive with code, message, details and metadata", async () => {
    const thrown = invalidArgument({ field: "lines[0].quantity", description: "must be at least 1" });
    thrown.metadata.set("x-hint", "50 %, naïve? no");
    thrown.metadata.set("x-hint", "more");
    const error = await failureOf<ConnectError>((await start(thrown)).echo({ text: "" }));
    expect(error).toBeInstanceOf(ConnectError);
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.rawMessage).toBe("lines[0].quantity: must be at least 1");
    expect(error.metadata.get("x-hint")).toBe("more");
    expect(hasReason(error, Reason.INVALID_FIELD)).toBe(true);
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("lines[0].quantity");
  });

  test("keep text beyond ASCII, percent signs and broken surrogates readable", async () => {
    const error = await failureOf<ConnectError>(
      (await start(new ConnectError("100 % naïve ☃ \ud800", Code.Aborted))).echo({ text: "" }),
    );
    expect(error.rawMessage).toBe("100 % naïve ☃ \ufffd");
  });

  test("ask for patience with RetryInfo", async () => {
    const thrown = rpcError(Code.FailedPrecondition, Reason.IN_PROGRESS, "wait", { retryAfterMs: 250 });
    const error = await failureOf<ConnectError>((await start(thrown)).echo({ text: "" }));
    expect(retryAfterMs(error)).toBe(250);
  });

  test("end a stream after the messages before them", async () => {
    const echo = await start(rpcError(Code.DataLoss, Reason.OUTCOME_UNKNOWN, "gone"));
    const heard: string[] = [];
    const error = await failureOf<ConnectError>(
      (async () => {
        for await (const { text } of echo.repeat({ text: "", times: 1 })) heard.push(text);
      })(),
    );
    expect(heard).toEqual(["first"]);
    expect(error.code).toBe(Code.DataLoss);
    expect(errorInfo(error)?.reason).toBe("OUTCOME_UNKNOWN");
  });

  test("go on unchanged through a handler that relays them, without the metadata of their hop", async () => {
    const thrown = rpcError(Code.NotFound, Reason.NOT_REGISTERED, "who?", { metadata: { id: "7" } });
    thrown.metadata.set("x-hop", "1");
    const inner = await start(thrown);
    const { address } = await startServer({
      services: [service(EchoService, { echo: (request) => inner.echo(request) })],
    });
    const outer = createClient(EchoService, createTransport(openChannel({ address })));
    const error = await failureOf<ConnectError>(outer.echo({ text: "" }));
    expect(error.code).toBe(Code.NotFound);
    expect(error.rawMessage).toBe("who?");
    expect(error.findDetails(ErrorInfoSchema)[0]?.metadata).toEqual({ id: "7" });
    expect(error.metadata.has("x-hop")).toBe(false);
  });
});

describe("anything else that is thrown", () => {
  test("becomes INTERNAL with a fixed text, its cause goes to the log only", async () => {
    const { log, lines } = createTestLog();
    const echo = await start(new Error("connect mysql://root:hunter2@db"), { log });
    const error = await failureOf<ConnectError>(
      echo.echo({ text: "" }, { headers: { "x-request-id": "r-1" } }),
    );
    expect(error.code).toBe(Code.Internal);
    expect(hasReason(error, Reason.INTERNAL)).toBe(true);
    expect(error.rawMessage).not.toContain("hunter2");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      level: "error",
      rpc: "/heddle.echo.v1.EchoService/Echo",
      code: "INTERNAL",
      reason: "INTERNAL",
      requestId: "r-1",
      err: { message: "connect mysql://root:hunter2@db" },
    });
  });
});

describe("the log", () => {
  test("has one line for each failed call and none for others", async () => {
    const { log, lines } = createTestLog();
    const { address } = await startServer({ log });
    const echo = createClient(EchoService, createTransport(openChannel({ address })));
    await echo.echo({ text: "fine" });
    await failureOf(echo.echo({ text: "no such thing", code: Code.NotFound }));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: "info", code: "NOT_FOUND", msg: "no such thing" });
    expect(lines[0]?.["traceId"]).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe("what the server library refuses", () => {
  test("an unknown method is UNIMPLEMENTED", async () => {
    const { address } = await startServer({ services: [service(EchoService, {})] });
    const echo = createClient(EchoService, createTransport(openChannel({ address })));
    expect(await failureOf(echo.echo({ text: "" }))).toMatchObject({ code: Code.Unimplemented });
  });

  test("a request that is too long is RESOURCE_EXHAUSTED with a reason", async () => {
    const { address } = await startServer({ maxMessageBytes: 1000 });
    const echo = createClient(EchoService, createTransport(openChannel({ address })));
    expect((await echo.echo({ text: "x".repeat(900) })).text).toHaveLength(900);
    const error = await failureOf<ConnectError>(echo.echo({ text: "x".repeat(1100) }));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(hasReason(error, Reason.MESSAGE_TOO_LARGE)).toBe(true);
  });

  test("bytes that are no message are INVALID_ARGUMENT", async () => {
    const { address } = await startServer();
    const channel = openChannel({ address });
    const error = await failureOf(
      channel.call({
        method: {
          service: "heddle.echo.v1.EchoService",
          method: "Echo",
          path: "/heddle.echo.v1.EchoService/Echo",
          kind: "unary",
          idempotency: "unknown",
        },
        metadata: new Headers(),
        deadline: Infinity,
        signal: new AbortController().signal,
        request: Uint8Array.of(0xff, 0xff),
      }),
    );
    expect(error).toMatchObject({ code: Code.InvalidArgument });
    expect(hasReason(error, Reason.MALFORMED_BODY)).toBe(true);
  });

  test("a header that HTTP cannot carry fails the call, not the process", async () => {
    const { address } = await startServer();
    const echo = createClient(EchoService, createTransport(openChannel({ address })));
    const error = await failureOf(echo.echo({ text: "" }, { headers: { "x-name": "naïve" } }));
    expect(error).toBeInstanceOf(ConnectError);
    expect((await echo.echo({ text: "still here" })).text).toBe("still here");
  });
});
