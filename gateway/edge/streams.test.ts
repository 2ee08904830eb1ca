import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { text } from "node:stream/consumers";
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

function fetchStream(path: string, headers: Record<string, string> = {}, at = edge): Promise<Response> {
  return fetch(at.url + path, { headers });
}

/** Everything that came before a response broke. */
async function broken(response: Response): Promise<{ text: string; error: unknown }> {
  let text = "";
  try {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) text += chunk;
  } catch (error) {
    return { text, error };
  }
  return { text, error: undefined };
}

describe("a stream", () => {
  test("is a JSON array unless asked otherwise", async () => {
    const response = await fetchStream("/v1/count/3");
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("x-request-id")).toMatch(/./);
    const messages = (await response.json()) as { number: number }[];
    expect(messages.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(await (await fetchStream("/v1/count/0")).text()).toBe("[]");
  });

  test("is lines where they are accepted, of the part that the binding names", async () => {
    const response = await fetchStream("/v1/count/2:samples", { accept: "application/x-ndjson" });
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const lines = (await response.text()).trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { int32: number }).int32)).toEqual([1, 2]);
  });

  test("is events where they are accepted", async () => {
    const response = await fetchStream("/v1/count/2", { accept: "text/event-stream" });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const body = await response.text();
    expect(body).toMatch(
      /^id: 1\ndata: \{"number":1,.*\n\nid: 2\ndata: \{"number":2,.*\n\nevent: end\ndata: \{\}\n\n$/,
    );
  });

  test("is raw where its messages are bodies", async () => {
    const response = await fetchStream("/v1/pieces/hello", { accept: "text/event-stream" });
    expect(response.headers.get("content-type")).toBe("text/plain");
    expect(await response.text()).toBe("hello");
  });

  test("comes message by message, over both versions of HTTP", async () => {
    // The second message would take ten seconds.
    const path = "/v1/count/2?interval=10s";
    const reader = (await fetchStream(path, { accept: "application/x-ndjson" })).body!.getReader();
    expect(Buffer.from((await reader.read()).value!).toString()).toMatch(/^{"number":1,.*}\n$/);
    await reader.cancel();
    const session = connectHttp2(edge.url);
    const stream = session.request({ ":path": path, accept: "text/event-stream" });
    const [chunk] = (await once(stream, "data")) as [Buffer];
    expect(chunk.toString()).toMatch(/^id: 1\ndata: {"number":1,.*}\n\n$/);
    session.destroy();
  });

  test("is refused where it cannot be had as asked", async () => {
    const response = await fetchStream("/v1/count/3", { accept: "text/csv" });
    expect(response.status).toBe(406);
    expect(await response.text()).toContain("text/event-stream");
  });
});

describe("an error", () => {
  test("before the first message has its HTTP status", async () => {
    const response = await fetchStream("/v1/count/0?end_code=5&end_message=none");
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: 5, message: "none" });
  });

  test("after it is an event or a last line", async () => {
    const path = "/v1/count/1?end_code=13&end_message=broken";
    const events = await (await fetchStream(path, { accept: "text/event-stream" })).text();
    expect(events).toMatch(/\n\nevent: error\ndata: \{"code":13,"message":"broken","details":\[\]\}\n\n$/);
    const lines = await (await fetchStream(path, { accept: "application/x-ndjson" })).text();
    expect(JSON.parse(lines.trimEnd().split("\n").at(-1)!)).toEqual({
      error: { code: 13, message: "broken", details: [] },
    });
  });

  test("after it breaks an array and its connection, over both versions of HTTP", async () => {
    const path = "/v1/count/1?end_code=13&end_message=broken";
    const http1 = await broken(await fetchStream(path));
    expect(http1.error).toBeInstanceOf(Error);
    expect(() => JSON.parse(http1.text) as unknown).toThrow();
    expect(JSON.parse(`${http1.text}]`)).toMatchObject([
      { number: 1 },
      { error: { code: 13, message: "broken" } },
    ]);

    const session = connectHttp2(edge.url);
    const stream = session.request({ ":path": path });
    let received = "";
    stream.on("data", (chunk: Buffer) => (received += chunk.toString()));
    await expect(once(stream, "end")).rejects.toMatchObject({ code: "ERR_HTTP2_STREAM_ERROR" });
    expect(received).toContain('{"error":{"code":13');
    session.close();
  });

  test("is logged and counted as what it is", async () => {
    other = await startTestEdge();
    await (
      await fetchStream("/v1/count/1?end_code=13&end_message=broken", { accept: "text/event-stream" }, other)
    ).text();
    await expect.poll(() => other?.logged[0]).toMatchObject({ code: "INTERNAL", status: 200, msg: "broken" });
    expect(await other.metrics.registry.metrics()).toContain('code="INTERNAL"} 1');
  });
});

describe("a stream's end", () => {
  test("comes to the service when the reader leaves", async () => {
    edge.events.length = 0;
    const stop = new AbortController();
    const response = await fetch(`${edge.url}/v1/count/1000?interval=0.01s`, { signal: stop.signal });
    await response.body!.getReader().read();
    stop.abort();
    await expect.poll(() => edge.events).toContain("cancelled");
  });

  test("comes by silence", async () => {
    other = await startTestEdge({ streamIdleMs: 500 });
    const accept = "application/x-ndjson";
    const body = await (await fetchStream("/v1/count/2?interval=10s", { accept }, other)).text();
    expect(body).toMatch(/^{"number":1,.*\n{"error":{"code":4,.*STREAM_IDLE.*\n$/);
  });

  test("has trailers for those who take them", async () => {
    const response = await new Promise<IncomingMessage>((resolve) => {
      get(`${edge.url}/v1/count/1`, { headers: { te: "trailers" } }, resolve);
    });
    expect(await text(response)).toMatch(/^\[.*\]$/);
  });
});

describe("a slow reader", () => {
  test("slows the service", async () => {
    edge.events.length = 0;
    const path = "/v1/count/250?padding=100000&interval=0s";
    const response = await new Promise<IncomingMessage>((resolve) => get(edge.url + path, resolve));
    response.pause();
    const sent = () => edge.events.length;
    let before = -1;
    // Once buffers are full nothing moves any more, long before 250 messages.
    await expect
      .poll(
        () => {
          const still = sent() === before && before > 0;
          before = sent();
          return still;
        },
        { interval: 100, timeout: 8000 },
      )
      .toBe(true);
    expect(sent()).toBeLessThan(250);
    response.resume();
    const bytes = (await text(response)).length;
    expect(bytes).toBeGreaterThan(25_000_000);
    expect(sent()).toBe(249);
  });
});
