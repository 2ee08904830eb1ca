import { createClient, type Interceptor } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { EchoService } from "../../gen/ts/heddle/echo/v1/echo_pb.ts";
import { service, type RpcServerOptions } from "./server.ts";
import { openChannel, startServer } from "./testing.ts";
import { createTransport, type TransportOptions } from "./transport.ts";

async function start(server: Partial<RpcServerOptions> = {}, transport: TransportOptions = {}) {
  const { address } = await startServer(server);
  return createClient(EchoService, createTransport(openChannel({ address }), transport));
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
    const echo = await start();
    expect((await echo.echo({ text: "hello" })).text).toBe("hello");
  });

  test("server streaming", async () => {
    const echo = await start();
    expect(await texts(echo.repeat({ text: "a", times: 3 }))).toEqual(["a", "a", "a"]);
    expect(await texts(echo.repeat({ text: "a", times: 0 }))).toEqual([]);
  });

  test("server streaming keeps all messages while the reader is slow", async () => {
    const echo = await start();
    let count = 0;
    for await (const { text } of echo.repeat({ text: "x".repeat(10_000), times: 300 })) {
      expect(text).toHaveLength(10_000);
      if (++count % 50 === 0) await new Promise(setImmediate);
    }
    expect(count).toBe(300);
  });

  test("client streaming", async () => {
    const echo = await start();
    expect((await echo.gather(each("a", "b", "c"))).text).toBe("abc");
    expect((await echo.gather(each())).text).toBe("");
  });

  test("bidirectional streaming answers each message before the next one is sent", async () => {
    const echo = await start();
    const heard = createGate();
    async function* questions() {
      yield { text: "a" };
      await heard.opened;
      yield { text: "b" };
    }
    const answers: string[] = [];
    for await (const { text } of echo.talk(questions())) {
      answers.push(text);
      heard.open();
    }
    expect(answers).toEqual(["a", "b"]);
  });

  test("a handler may answer without hearing everything", async () => {
    const echo = await start({
      services: [
        service(EchoService, {
          async gather(requests) {
            for await (const { text } of requests) return { text };
            return {};
          },
          async *talk(requests) {
            for await (const { text } of requests) {
              yield { text };
              return;
            }
          },
        }),
      ],
    });
    const { opened, open } = createGate();
    async function* endless() {
      yield { text: "first" };
      await opened;
    }
    expect((await echo.gather(endless())).text).toBe("first");
    expect(await texts(echo.talk(endless()))).toEqual(["first"]);
    open();
  });

  test("a request stream that throws fails the call with what it threw", async () => {
    const echo = await start();
    async function* broken() {
      yield { text: "a" };
      throw new Error("no more questions");
    }
    await expect(echo.gather(broken())).rejects.toThrow("no more questions");
  });
});

describe("metadata", () => {
  test("headers and trailers travel both ways, binary ones too", async () => {
    const seen: (string | null)[] = [];
    const echo = await start({
      interceptors: [
        (next) => async (request) => {
          seen.push(request.header.get("x-color"), request.header.get("x-raw-bin"));
          const response = await next(request);
          response.header.set("x-answer", "42");
          response.trailer.set("x-raw-bin", "AAEC");
          return response;
        },
      ],
    });
    const received: Headers[] = [];
    await echo.echo(
      { text: "" },
      {
        headers: { "x-color": "blue", "x-raw-bin": "/wAB" },
        onHeader: (headers) => received.push(headers),
        onTrailer: (trailers) => received.push(trailers),
      },
    );
    expect(seen).toEqual(["blue", "/wAB"]);
    expect(received[0]?.get("x-answer")).toBe("42");
    expect(received[1]?.get("x-raw-bin")).toBe("AAEC");
  });

  test("a stream's headers come before its messages, its trailers after them", async () => {
    const echo = await start({
      interceptors: [
        (next) => async (request) => {
          const response = await next(request);
          response.header.set("x-answer", "42");
          response.trailer.set("x-done", "yes");
          return response;
        },
      ],
    });
    const order: string[] = [];
    const stream = echo.repeat(
      { text: "a", times: 1 },
      {
        onHeader: (headers) => order.push(`header ${headers.get("x-answer")}`),
        onTrailer: (trailers) => order.push(`trailer ${trailers.get("x-done")}`),
      },
    );
    for await (const { text } of stream) order.push(text);
    expect(order).toEqual(["header 42", "a", "trailer yes"]);
  });
});

describe("interceptors", () => {
  test("run outermost first on both sides", async () => {
    const order: string[] = [];
    const note =
      (name: string): Interceptor =>
      (next) =>
      (request) => {
        order.push(name);
        return next(request);
      };
    const echo = await start(
      { interceptors: [note("server 1"), note("server 2")] },
      { interceptors: [note("client 1"), note("client 2")] },
    );
    await echo.echo({ text: "" });
    expect(order).toEqual(["client 1", "client 2", "server 1", "server 2"]);
  });
});

function createGate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}
