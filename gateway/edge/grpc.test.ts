import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Client } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BadRequestSchema } from "../../gen/ts/google/rpc/error_details_pb.ts";
import {
  CancelItemRequestSchema,
  CancelItemResponseSchema,
  EchoService,
} from "../../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { createChannel, type Channel } from "../../mesh/rpc/channel.ts";
import { createTransport } from "../../mesh/rpc/transport.ts";
import { encodeFrame } from "./grpc-frames.ts";
import { all, startTestEdge, type TestEdge } from "./testing.ts";

let edge: TestEdge;
let channel: Channel;
let echo: Client<typeof EchoService>;
beforeAll(async () => {
  edge = await startTestEdge();
  channel = createChannel({ address: edge.url.slice("http://".length) });
  echo = createClient(EchoService, createTransport(channel));
});
afterAll(async () => {
  await channel.close();
  await edge.close();
});

async function* numbers(count: number) {
  for (let number = 1; number <= count; number++) yield { number: BigInt(number) };
}

describe("gRPC calls", () => {
  test("of all four kinds go through", async () => {
    expect(await echo.cancelItem({ itemId: "7", reason: "none" })).toMatchObject({
      itemId: "7",
      reason: "none",
    });
    const counted = await all(echo.count({ to: 3 }));
    expect(counted.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(await echo.sum(numbers(100))).toMatchObject({ sum: 5050n, count: 100 });
    async function* words() {
      yield { text: "a" };
      yield { text: "b" };
    }
    expect((await all(echo.chat(words()))).map(({ text }) => text)).toEqual(["a", "b"]);
    expect(await echo.unbound({})).toBeDefined();
  });

  test("go both ways at once", async () => {
    const question = Promise.withResolvers<void>();
    async function* words() {
      yield { text: "first" };
      await question.promise;
      yield { text: "second" };
    }
    const heard: string[] = [];
    for await (const { text } of echo.chat(words())) {
      heard.push(text);
      question.resolve();
    }
    expect(heard).toEqual(["first", "second"]);
  });

  test("carry metadata, ids and deadlines", async () => {
    let header = new Headers();
    let trailer = new Headers();
    const reply = await echo.inspect(
      { headers: { tenant: "t1", "key-bin": "AAEC" }, trailers: { cost: "3" } },
      {
        headers: { "x-request-id": "r-1", "x-custom": "c", "data-bin": "AAEC" },
        timeoutMs: 3000,
        onHeader: (received) => (header = received),
        onTrailer: (received) => (trailer = received),
      },
    );
    expect(reply.metadata).toMatchObject({ "x-request-id": "r-1", "x-custom": "c", "data-bin": "AAEC" });
    expect(Number(reply.timeoutMs)).toBeGreaterThan(2000);
    expect(Number(reply.timeoutMs)).toBeLessThanOrEqual(3000);
    expect([header.get("tenant"), header.get("key-bin"), trailer.get("cost")]).toEqual(["t1", "AAEC", "3"]);
  });

  test("fail with code, message, details and metadata", async () => {
    const error = await echo
      .fail({ code: 9, message: "no — 100 %", fields: ["a"] })
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ code: Code.FailedPrecondition, rawMessage: "no — 100 %" });
    expect((error as ConnectError).findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("a");
    expect((error as ConnectError).metadata.get("x-why")).toBe("told to");
    const stream = all(echo.count({ to: 1, endCode: 13, endMessage: "broken" }));
    await expect(stream).rejects.toMatchObject({ code: Code.Internal, rawMessage: "broken" });
  });

  test("end in time, and with their caller", async () => {
    edge.events.length = 0;
    const late = echo.wait({ duration: { seconds: 10n } }, { timeoutMs: 50 });
    await expect(late).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    const stop = new AbortController();
    const given = echo.wait({ duration: { seconds: 10n } }, { signal: stop.signal });
    given.catch(() => undefined);
    await expect.poll(() => edge.events.length).toBe(3);
    stop.abort();
    await expect(given).rejects.toMatchObject({ code: Code.Canceled });
    await expect.poll(() => edge.events).toEqual(["waits", "cancelled", "waits", "cancelled"]);
  });

  test("with a message that is too long are refused", async () => {
    const call = echo.echo({ sample: { text: "x".repeat(1024 * 1024) } });
    await expect(call).rejects.toMatchObject({ code: Code.ResourceExhausted });
    async function* words() {
      yield { text: "a" };
      yield { text: "x".repeat(1024 * 1024) };
    }
    await expect(all(echo.chat(words()))).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });
});

interface Raw {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A call by hand, for what clients do not do. Without a body the request is left open. */
function raw(path: string, body: Uint8Array | undefined, headers: Record<string, string> = {}): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(edge.url);
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    const chunks: Buffer[] = [];
    let head: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    stream.on("response", (received) => (head = received));
    stream.on("trailers", (received: IncomingHttpHeaders) => (trailers = received));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("end", () => {
      session.close();
      resolve({ headers: head, trailers, body: Buffer.concat(chunks) });
    });
    if (body !== undefined) stream.end(body);
  });
}

const CANCEL = "/heddle.testing.v1.EchoService/CancelItem";
const request = toBinary(CancelItemRequestSchema, create(CancelItemRequestSchema, { itemId: "7" }));

describe("gRPC by hand", () => {
  test("compressed messages are taken", async () => {
    const frame = encodeFrame(gzipSync(request));
    frame[0] = 1;
    const { headers, trailers, body } = await raw(CANCEL, frame, { "grpc-encoding": "gzip" });
    expect(headers).toMatchObject({ ":status": 200, "content-type": "application/grpc" });
    expect(trailers["grpc-status"]).toBe("0");
    expect(fromBinary(CancelItemResponseSchema, body.subarray(5)).itemId).toBe("7");
  });

  test("other compressions are refused, with what is understood", async () => {
    const { headers, trailers } = await raw(CANCEL, encodeFrame(request), { "grpc-encoding": "snappy" });
    expect(headers["grpc-accept-encoding"]).toBe("identity,gzip");
    expect(trailers["grpc-status"]).toBe("12");
  });

  test("unknown methods are UNIMPLEMENTED", async () => {
    const { trailers } = await raw("/no.Such/Method", encodeFrame(request));
    expect(trailers).toMatchObject({ "grpc-status": "12" });
    expect(trailers["grpc-message"]).toContain("no.Such/Method");
  });

  test.each([
    ["no message", Buffer.alloc(0), "12"],
    ["two messages", Buffer.concat([encodeFrame(request), encodeFrame(request)]), "12"],
    ["half a message", encodeFrame(request).subarray(0, 6), "3"],
    ["no framing", Buffer.from("hello, world"), "13"],
  ])("a unary request of %s fails", async (_, body, status) => {
    expect((await raw(CANCEL, body)).trailers["grpc-status"]).toBe(status);
  });

  test("a request that does not come fails when its time is over", async () => {
    const { trailers } = await raw(CANCEL, undefined, { "grpc-timeout": "30m" });
    expect(trailers["grpc-status"]).toBe("4");
  });

  test("a malformed deadline fails", async () => {
    const { trailers } = await raw(CANCEL, encodeFrame(request), { "grpc-timeout": "soon" });
    expect(trailers["grpc-status"]).toBe("3");
  });
});
