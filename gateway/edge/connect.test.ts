import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BadRequestSchema } from "../../gen/ts/google/rpc/error_details_pb.ts";
import {
  CancelItemRequestSchema,
  CancelItemResponseSchema,
  EchoService,
} from "../../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { encodeFrame } from "./grpc-frames.ts";
import { all, startTestEdge, type TestEdge } from "./testing.ts";

let edge: TestEdge;
beforeAll(async () => void (edge = await startTestEdge()));
afterAll(() => edge.close());

const PATH = "/heddle.testing.v1.EchoService";

async function* numbers(count: number) {
  for (let number = 1; number <= count; number++) yield { number: BigInt(number) };
}

const transports = ["1.1", "2"].flatMap((httpVersion) =>
  [true, false].flatMap((useBinaryFormat) => [
    {
      name: `Connect, HTTP/${httpVersion}, ${useBinaryFormat ? "binary" : "JSON"}`,
      httpVersion,
      make: () =>
        createConnectTransport({ baseUrl: edge.url, httpVersion: httpVersion as "2", useBinaryFormat }),
    },
    {
      name: `gRPC-Web, HTTP/${httpVersion}, ${useBinaryFormat ? "binary" : "JSON"}`,
      httpVersion,
      make: () =>
        createGrpcWebTransport({ baseUrl: edge.url, httpVersion: httpVersion as "2", useBinaryFormat }),
    },
  ]),
);

describe.each(transports)("$name", ({ make, httpVersion }) => {
  test("goes through in all kinds", async () => {
    const echo = createClient(EchoService, make());
    expect(await echo.cancelItem({ itemId: "7" })).toMatchObject({ itemId: "7" });
    expect((await all(echo.count({ to: 3 }))).map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(await echo.sum(numbers(10))).toMatchObject({ sum: 55n, count: 10 });
    if (httpVersion === "2") {
      async function* words() {
        yield { text: "a" };
      }
      expect((await all(echo.chat(words()))).map(({ text }) => text)).toEqual(["a"]);
    }
  });

  test("carries metadata and deadlines", async () => {
    const echo = createClient(EchoService, make());
    let header = new Headers();
    let trailer = new Headers();
    const reply = await echo.inspect(
      { headers: { tenant: "t1" }, trailers: { cost: "3" } },
      {
        headers: { "x-custom": "c", "x-request-id": "r-1" },
        timeoutMs: 3000,
        onHeader: (received) => (header = received),
        onTrailer: (received) => (trailer = received),
      },
    );
    expect(reply.metadata).toMatchObject({ "x-custom": "c", "x-request-id": "r-1" });
    expect(Number(reply.timeoutMs)).toBeGreaterThan(2000);
    expect(Number(reply.timeoutMs)).toBeLessThanOrEqual(3000);
    expect([header.get("tenant"), trailer.get("cost")]).toEqual(["t1", "3"]);
    expect(header.get("x-request-id")).toBe("r-1");
  });

  test("fails with code, message, details and metadata", async () => {
    const echo = createClient(EchoService, make());
    const error = ConnectError.from(
      await echo.fail({ code: 9, message: "no — über", fields: ["a"] }).catch((error: unknown) => error),
    );
    expect(error).toMatchObject({ code: Code.FailedPrecondition, rawMessage: "no — über" });
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("a");
    expect(error.metadata.get("x-why")).toBe("told to");
    const stream = all(echo.count({ to: 1, endCode: 13, endMessage: "broken" }));
    await expect(stream).rejects.toMatchObject({ code: Code.Internal, rawMessage: "broken" });
  });

  test("ends in time, and with its caller", async () => {
    const echo = createClient(EchoService, make());
    edge.events.length = 0;
    const late = echo.wait({ duration: { seconds: 10n } }, { timeoutMs: 50 });
    await expect(late).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    const count = (event: string) => edge.events.filter((one) => one === event).length;
    await expect.poll(() => count("waits") === count("cancelled")).toBe(true);
    const before = count("waits"); // 0 if the first call was over before it reached the service
    const stop = new AbortController();
    const given = echo.wait({ duration: { seconds: 10n } }, { signal: stop.signal });
    given.catch(() => undefined);
    await expect.poll(() => count("waits")).toBe(before + 1);
    stop.abort();
    await expect(given).rejects.toMatchObject({ code: Code.Canceled });
    await expect.poll(() => count("cancelled")).toBe(before + 1);
  });
});

describe("Connect with nothing but fetch", () => {
  function call(method: string, init: RequestInit, query = ""): Promise<Response> {
    return fetch(`${edge.url}${PATH}/${method}${query}`, init);
  }
  const json = { "content-type": "application/json" };

  test("takes a POST of JSON, and a GET where there are no side effects", async () => {
    const posted = await call("CancelItem", { method: "POST", body: '{"itemId":"7"}', headers: json });
    expect(await posted.json()).toEqual({ itemId: "7" });
    const message = encodeURIComponent('{"itemId":"7"}');
    const got = await call("GetItem", {}, `?connect=v1&encoding=json&message=${message}`);
    expect(await got.json()).toEqual({ item: { itemId: "7" } });
  });

  test("answers errors as Connect does, and refusals as the rest of the edge does", async () => {
    const failed = await call("Fail", { method: "POST", body: '{"code":5,"message":"none"}', headers: json });
    expect([failed.status, await failed.json()]).toEqual([404, { code: "not_found", message: "none" }]);
    const get = await call("CancelItem", {});
    expect([get.status, get.headers.get("allow")]).toEqual([405, "POST"]);
    expect(await get.json()).toMatchObject({ code: 12 });
    const text = await call("CancelItem", {
      method: "POST",
      body: "x",
      headers: { "content-type": "text/plain" },
    });
    expect([text.status, text.headers.get("allow")]).toEqual([415, null]);
    expect(await text.json()).toMatchObject({ code: 3 });
    const unknown = await call("Nothing", { method: "POST", body: "{}", headers: json });
    expect([unknown.status, await unknown.json()]).toMatchObject([404, { code: 5 }]);
  });

  test("takes compressed requests and refuses long ones", async () => {
    const body = gzipSync('{"itemId":"7"}');
    const headers = { ...json, "content-encoding": "gzip" };
    expect(await (await call("CancelItem", { method: "POST", body, headers })).json()).toEqual({
      itemId: "7",
    });
    const long = `{"itemId":"${"x".repeat(1024 * 1024)}"}`;
    const refused = await call("CancelItem", { method: "POST", body: long, headers: json });
    expect(await refused.json()).toMatchObject({ code: "resource_exhausted" });
  });
});

test("a caller that does not send its request is cut off", async () => {
  const hasty = await startTestEdge({ maxTimeoutMs: 50 });
  const body = new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from("{")) });
  const headers = { "content-type": "application/json" };
  const init = { method: "POST", body, headers, duplex: "half" } as RequestInit;
  await expect(fetch(`${hasty.url}${PATH}/CancelItem`, init)).rejects.toThrow("fetch failed");
  await hasty.close();
});

describe("gRPC-Web by hand", () => {
  const request = toBinary(CancelItemRequestSchema, create(CancelItemRequestSchema, { itemId: "7" }));

  test("text mode is base64 both ways", async () => {
    const response = await fetch(`${edge.url}${PATH}/CancelItem`, {
      method: "POST",
      headers: { "content-type": "application/grpc-web-text+proto" },
      body: encodeFrame(request).toString("base64"),
    });
    expect(response.headers.get("content-type")).toBe("application/grpc-web-text+proto");
    const parts = (await response.text()).match(/[^=]+=*/g) ?? [];
    const bytes = Buffer.concat(parts.map((part) => Buffer.from(part, "base64")));
    const length = bytes.readUInt32BE(1);
    expect(fromBinary(CancelItemResponseSchema, bytes.subarray(5, 5 + length)).itemId).toBe("7");
    expect(bytes.subarray(5 + length + 5).toString()).toContain("grpc-status: 0");
  });

  test("unknown methods are UNIMPLEMENTED", async () => {
    const response = await fetch(`${edge.url}/no.Such/Method`, {
      method: "POST",
      headers: { "content-type": "application/grpc-web+proto" },
      body: new Uint8Array(encodeFrame(request)),
    });
    expect([response.status, response.headers.get("grpc-status")]).toEqual([200, "12"]);
  });
});
