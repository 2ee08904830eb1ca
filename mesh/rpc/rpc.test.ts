import { createClient } from "@connectrpc/connect";
import { afterEach, describe, expect, test } from "vitest";
import { EchoService } from "../../gen/ts/heddle/echo/v1/echo_pb.ts";
import { createChannel } from "./channel.ts";
import { createEcho } from "./echo.ts";
import { createRpcServer, service, type RpcServerOptions } from "./server.ts";
import { createTransport } from "./transport.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function start(options: Partial<RpcServerOptions> = {}) {
  const server = createRpcServer({ services: [service(EchoService, createEcho())], ...options });
  cleanups.push(() => server.close());
  const address = await server.listen("127.0.0.1:0");
  const channel = createChannel({ address });
  cleanups.push(() => channel.close());
  return { server, address, channel, echo: createClient(EchoService, createTransport(channel)) };
}

async function* each(...texts: string[]) {
  for (const text of texts) yield { text };
}

async function texts(messages: AsyncIterable<{ text: string }>) {
  const all: string[] = [];
  for await (const { text } of messages) all.push(text);
  return all;
}

describe("all four kinds of call", () => {
  test("unary", async () => {
    const { echo } = await start();
    expect((await echo.echo({ text: "hello" })).text).toBe("hello");
  });

  test("server streaming", async () => {
    const { echo } = await start();
    expect(await texts(echo.repeat({ text: "a", times: 3 }))).toEqual(["a", "a", "a"]);
    expect(await texts(echo.repeat({ text: "a", times: 0 }))).toEqual([]);
  });

  test("client streaming", async () => {
    const { echo } = await start();
    expect((await echo.gather(each("a", "b", "c"))).text).toBe("abc");
  });

  test("bidirectional streaming, message by message", async () => {
    const { echo } = await start();
    expect(await texts(echo.talk(each("a", "b")))).toEqual(["a", "b"]);
  });
});
