import { once } from "node:events";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestEdge, type TestEdge } from "./testing.ts";

let edge: TestEdge;
beforeAll(async () => void (edge = await startTestEdge()));
afterAll(() => edge.close());

let other: TestEdge | undefined;
afterEach(async () => {
  await other?.close();
  other = undefined;
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
  readonly json: {
    readonly code: number;
    readonly message: string;
    readonly details: Record<string, unknown>[];
  };
}

async function call(path: string, init: RequestInit = {}, { url } = edge): Promise<Answer> {
  const response = await fetch(url + path, init);
  const body = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json") === true;
  return {
    status: response.status,
    headers: response.headers,
    body,
    json: (isJson && body !== "" ? JSON.parse(body) : undefined) as Answer["json"],
  };
}

function post(path: string, body: unknown, headers: Record<string, string> = {}, at = edge): Promise<Answer> {
  const init = { method: "POST", headers: { "content-type": "application/json", ...headers } };
  return call(path, { ...init, body: JSON.stringify(body) }, at);
}

function reasonOf({ json }: Answer): unknown {
  return json.details.find((detail) => detail["@type"] === "type.googleapis.com/google.rpc.ErrorInfo")?.[
    "reason"
  ];
}

describe("a call", () => {
  test("maps path, query and body to the request and the reply to JSON", async () => {
    expect((await call("/v1/echo/a%2Fb?sample.int32=7")).json).toMatchObject({
      sample: { text: "a/b", int32: 7 },
    });
    const sample = { text: "é", texts: ["a"], nested: { number: 1 }, int64: "9007199254740993" };
    const answer = await post("/v1/echo", { sample });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(answer.json).toMatchObject({ sample });
    expect((await post("/v1/echo:sample", sample)).json).toMatchObject(sample);
  });

  test("works over HTTP/2", async () => {
    const session = connectHttp2(edge.url);
    const path = "/v1/items/7:cancel";
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/json" });
    stream.end('{"reason":"none"}');
    const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders & { ":status": number }];
    expect(headers[":status"]).toBe(200);
    expect(headers["x-request-id"]).toMatch(/./);
    expect(await text(stream)).toBe('{"itemId":"7","reason":"none"}');
    const head = session.request({ ":method": "HEAD", ":path": "/v1/download/hello" });
    const [headHeaders] = (await once(head, "response")) as [IncomingHttpHeaders];
    expect(headHeaders["content-length"]).toBe("5");
    expect(await text(head)).toBe("");
    session.close();
  });

  test("answers HEAD without a body", async () => {
    const answer = await call("/v1/download/hello", { method: "HEAD" });
    expect([answer.status, answer.body, answer.headers.get("content-length")]).toEqual([200, "", "5"]);
  });

  test("takes compressed bodies", async () => {
    const body = gzipSync('{"sample":{"text":"zipped"}}');
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    expect((await call("/v1/echo", { method: "POST", body, headers })).body).toContain("zipped");
    const unknown = { ...headers, "content-encoding": "lzw" };
    expect((await call("/v1/echo", { method: "POST", body, headers: unknown })).status).toBe(415);
    const broken = await call("/v1/echo", { method: "POST", body: "{}", headers });
    expect([broken.status, reasonOf(broken)]).toEqual([400, "MALFORMED_BODY"]);
  });

  test("sends and takes bodies that are not JSON", async () => {
    const download = await call("/v1/download/hello", { headers: { accept: "image/png" } });
    expect([download.headers.get("content-type"), download.body]).toEqual([
      "text/plain; charset=utf-8",
      "hello",
    ]);
    const init = { method: "POST", body: Buffer.from([1, 2, 3]), headers: { "content-type": "image/png" } };
    expect((await call("/v1/upload/cat", init)).json).toEqual({
      name: "cat",
      contentType: "image/png",
      size: "3",
    });
  });
});

describe("headers", () => {
  test("become metadata, and metadata headers", async () => {
    const answer = await call("/v1/inspect?headers.x=1", {
      headers: { authorization: "Bearer t", "grpc-metadata-tenant": "t1", "x-forwarded-for": "10.0.0.1" },
    });
    // Maps are no query parameters, whatever else is.
    expect(answer.status).toBe(400);
    const { json } = await call("/v1/inspect", {
      headers: { authorization: "Bearer t", "grpc-metadata-tenant": "t1", "x-forwarded-for": "10.0.0.1" },
    });
    expect(json).toMatchObject({
      metadata: {
        authorization: "Bearer t",
        tenant: "t1",
        "x-forwarded-for": "10.0.0.1, 127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": edge.url.slice("http://".length),
      },
      server: "echo-1",
    });
  });

  test("tie request, call and response together", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const given = await call("/v1/inspect", { headers: { "x-request-id": "r-1", traceparent } });
    expect(given.headers.get("x-request-id")).toBe("r-1");
    const { metadata } = given.json as unknown as { metadata: Record<string, string> };
    expect(metadata["x-request-id"]).toBe("r-1");
    expect(metadata["traceparent"]).toMatch(
      /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/,
    );

    const made = await call("/v1/inspect", { headers: { "x-request-id": "not an id" } });
    const id = made.headers.get("x-request-id");
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    expect((made.json as unknown as { metadata: Record<string, string> }).metadata["x-request-id"]).toBe(id);
  });

  test("that are malformed are refused", async () => {
    const answer = await call("/v1/inspect", { headers: { "grpc-metadata-x-bin": "!" } });
    expect([answer.status, reasonOf(answer)]).toEqual([400, "MALFORMED_HEADER"]);
  });
});

describe("errors", () => {
  test("of the service keep code, message, details and metadata", async () => {
    const answer = await post("/v1/fail", {
      code: 9,
      message: "no — über",
      retryAfter: "1.5s",
      fields: ["a.b"],
    });
    expect(answer.status).toBe(400);
    expect(answer.headers.get("retry-after")).toBe("2");
    expect(answer.headers.get("grpc-metadata-x-why")).toBe("told to");
    expect(answer.json).toMatchObject({ code: 9, message: "no — über" });
    expect(answer.json.details.map((detail) => detail["@type"])).toEqual([
      "type.googleapis.com/google.rpc.RetryInfo",
      "type.googleapis.com/google.rpc.BadRequest",
    ]);
    expect((await post("/v1/fail", { code: 16 })).headers.get("www-authenticate")).toBe("Bearer");
  });

  test("404 where there is no route", async () => {
    const answer = await call("/v1/nothing");
    expect([answer.status, answer.json.code, reasonOf(answer)]).toEqual([404, 5, "ROUTE_NOT_FOUND"]);
  });

  test("405 with Allow where the method does not fit, and OPTIONS says the same", async () => {
    const answer = await call("/v1/echo", { method: "DELETE" });
    expect([answer.status, reasonOf(answer)]).toEqual([405, "METHOD_NOT_ALLOWED"]);
    expect(answer.headers.get("allow")).toBe("GET, HEAD, OPTIONS, POST");
    const options = await call("/v1/echo", { method: "OPTIONS" });
    expect([options.status, options.body, options.headers.get("allow")]).toEqual([
      204,
      "",
      "GET, HEAD, OPTIONS, POST",
    ]);
  });

  test("406 where the reply cannot be had as asked", async () => {
    const answer = await call("/v1/echo/x", { headers: { accept: "text/event-stream" } });
    expect([answer.status, reasonOf(answer)]).toEqual([406, "NOT_ACCEPTABLE"]);
    expect((await call("/v1/echo/x", { headers: { accept: "text/html, */*;q=0.1" } })).status).toBe(200);
  });

  test("415 for a body of another type", async () => {
    for (const headers of [{ "content-type": "text/plain" }, { "content-type": "" }]) {
      const answer = await call("/v1/echo", { method: "POST", body: Buffer.from("{}"), headers });
      expect([answer.status, reasonOf(answer)]).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
    }
  });

  test("413 for a body that is too long, said or not, or grows too long", async () => {
    const long = `{"sample":{"text":"${"x".repeat(1024 * 1024)}"}}`;
    const headers = { "content-type": "application/json" };
    const chunked = new ReadableStream({
      start(controller) {
        controller.enqueue(Buffer.from(long));
        controller.close();
      },
    });
    for (const init of [
      { body: long, headers },
      { body: chunked, headers, duplex: "half" },
      { body: gzipSync(long), headers: { ...headers, "content-encoding": "gzip" } },
    ]) {
      const answer = await call("/v1/echo", { method: "POST", ...init });
      expect([answer.status, reasonOf(answer)]).toEqual([413, "BODY_TOO_LARGE"]);
    }
  });

  test("400 names what is wrong", async () => {
    const parameter = await call("/v1/echo?sample.int32=x");
    expect(parameter.status).toBe(400);
    expect(parameter.body).toContain("sample.int32");
    const body = await post("/v1/echo", { sample: { unknown: 1 } });
    expect(body.status).toBe(400);
    expect(body.body).toContain("unknown");
    expect((await call("/v1/echo/%zz")).status).toBe(400);
  });

  test("501 for methods that take a stream", async () => {
    const answer = await post("/v1/sum", {});
    expect([answer.status, reasonOf(answer)]).toEqual([501, "STREAMING_UNSUPPORTED"]);
    expect(answer.json.message).toContain("gRPC or Connect");
  });

  test("503 without addresses while the service is away", async () => {
    other = await startTestEdge();
    await other.stopServer();
    const answer = await call("/v1/echo/x", {}, other);
    expect([answer.status, answer.json.code]).toEqual([503, 14]);
    expect(answer.body).not.toContain("127.0.0.1");
    await expect.poll(() => other?.logged.length).toBe(1);
    expect(JSON.stringify(other.logged)).toContain("127.0.0.1");
  });
});

describe("time", () => {
  test("is the default unless asked for, and at most the maximum", async () => {
    const timeouts = await Promise.all(
      [{}, { "grpc-timeout": "2S" }, { "x-request-timeout": "1.5" }, { "grpc-timeout": "1H" }].map(
        async (headers) =>
          Number((await call("/v1/inspect", { headers })).body.match(/"timeoutMs":"(\d+)"/)?.[1]),
      ),
    );
    for (const [index, expected] of [5000, 2000, 1500, 10_000].entries()) {
      expect(timeouts[index]).toBeGreaterThan(expected - 500);
      expect(timeouts[index]).toBeLessThanOrEqual(expected);
    }
  });

  test("that runs out is 504, and the service hears of it", async () => {
    edge.events.length = 0;
    const answer = await call("/v1/wait?duration=10s", { headers: { "x-request-timeout": "50ms" } });
    expect([answer.status, answer.json.code]).toEqual([504, 4]);
    await expect.poll(() => edge.events).toEqual(["waits", "cancelled"]);
  });

  test("malformed is 400", async () => {
    expect((await call("/v1/inspect", { headers: { "grpc-timeout": "soon" } })).status).toBe(400);
    expect((await call("/v1/inspect", { headers: { "x-request-timeout": "-1" } })).status).toBe(400);
  });

  test("covers a body that does not come", async () => {
    const url = new URL(edge.url);
    const socket = connect(Number(url.port), url.hostname);
    socket.write(
      "POST /v1/echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 10\r\n",
    );
    socket.write("x-request-timeout: 30ms\r\nconnection: close\r\n\r\n{");
    expect(await text(socket)).toMatch(/^HTTP\/1.1 504 /);
  });
});

describe("a caller that goes away", () => {
  test("ends the call, over both versions of HTTP", async () => {
    edge.events.length = 0;
    const http1 = httpRequest(`${edge.url}/v1/wait?duration=10s`).on("error", () => undefined);
    http1.end();
    const session = connectHttp2(edge.url);
    const http2 = session.request({ ":path": "/v1/wait?duration=10s" }).on("error", () => undefined);
    await expect.poll(() => edge.events).toEqual(["waits", "waits"]);
    http1.destroy();
    http2.close(8);
    await expect.poll(() => edge.events).toEqual(["waits", "waits", "cancelled", "cancelled"]);
    session.close();
  });
});

describe("what is observed", () => {
  test("one line for a failed request, none for a good one", async () => {
    other = await startTestEdge();
    await call("/v1/echo/x", {}, other);
    await post("/v1/fail", { code: 13, message: "broken" }, { "x-request-id": "r-9" }, other);
    await expect.poll(() => other?.logged.length).toBe(1);
    expect(other.logged[0]).toMatchObject({
      level: "error",
      requestId: "r-9",
      protocol: "rest",
      httpMethod: "POST",
      path: "/v1/fail",
      route: "POST /v1/fail",
      status: 500,
      code: "INTERNAL",
      msg: "broken",
    });
    expect(other.logged[0]?.["traceId"]).toMatch(/^[0-9a-f]{32}$/);
    expect(other.logged[0]?.["ms"]).toBeGreaterThan(0);
  });

  test("requests by template, never by path", async () => {
    other = await startTestEdge();
    await call("/v1/echo/a", {}, other);
    await call("/v1/echo/b", {}, other);
    await call("/nowhere", {}, other);
    const scrape = async () => other?.metrics.registry.metrics();
    await expect
      .poll(scrape)
      .toContain('gateway_requests_total{protocol="rest",route="GET /v1/echo/{sample.text}",code="OK"} 2');
    await expect
      .poll(scrape)
      .toContain('gateway_requests_total{protocol="rest",route="none",code="NOT_FOUND"} 1');
    expect(await scrape()).toContain("gateway_request_seconds_bucket");
  });
});
