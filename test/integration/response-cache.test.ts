/** The response cache from outside: real gateways, real cache nodes, and a service that tells how often it was asked. */
import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { Code, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CacheAdminService } from "../../gen/ts/heddle/gateway/v1/cache_admin_service_pb.ts";
import { CatalogService } from "../../gen/ts/heddle/testing/v1/catalog_service_pb.ts";
import { createChannel } from "../../mesh/rpc/channel.ts";
import { createTransport } from "../../mesh/rpc/transport.ts";
import { startCatalog, until, type Catalog } from "../support/catalog.ts";

interface Item {
  readonly item: { readonly id: string; readonly text: string; readonly calls: number };
  readonly owner?: string;
}

let catalog: Catalog;

/** One REST request of the first gateway, or of the one given. Not `fetch`, which adds headers that this is about. */
async function get(path: string, headers: Record<string, string> = {}, gateway = 0) {
  const sent = request(catalog.urls[gateway] + path, { headers }).end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += String(chunk);
  const found = new Headers(
    Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)]),
  );
  return {
    status: response.statusCode,
    headers: found,
    cache: found.get("cache-status") ?? "",
    body: (text === "" ? {} : JSON.parse(text)) as Item,
  };
}

async function write(id: string, text: string, { gateway = 0, failWith = 0 } = {}): Promise<Response> {
  return fetch(`${catalog.urls[gateway]}/v1/catalog/${id}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ text, failWith }),
  });
}

describe("two gateways and two cache nodes", () => {
  beforeAll(async () => {
    catalog = await startCatalog({ gateways: 2, nodes: 2 });
    // A gateway begins to cache once it knows the nodes.
    for (const [index] of catalog.urls.entries()) {
      await until(async () => /hit|stored/.test((await get("/v1/catalog/first", {}, index)).cache));
    }
  });
  afterAll(() => catalog.close());

  test("answer the second request from the cache, whichever of them gets it", async () => {
    const first = await get("/v1/catalog/a");
    expect([first.cache, first.body.item.calls]).toEqual(["heddle; fwd=miss; stored", 1]);
    expect(first.headers.has("age")).toBe(false);
    for (const gateway of [0, 1]) {
      const again = await get("/v1/catalog/a", {}, gateway);
      expect(again.cache).toMatch(/^heddle; hit; ttl=5\d$/);
      expect(again.body).toEqual(first.body);
      expect(again.headers.get("age")).toMatch(/^\d$/);
      expect(again.headers.get("cache-control")).toBe("public, no-cache");
      expect(again.headers.get("vary")).toBe("accept-language");
    }
  });

  test("share what is stored between REST, Connect by GET and POST, gRPC-Web and gRPC", async () => {
    await get("/v1/catalog/shared");
    const baseUrl = catalog.urls[0]!;
    const channel = createChannel({ address: new URL(baseUrl).host });
    const transports = [
      createConnectTransport({ baseUrl, httpVersion: "2", useHttpGet: true }),
      createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
      createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
      createTransport(channel),
    ];
    for (const transport of transports) {
      let status: string | null = "";
      const reply = await createClient(CatalogService, transport).readItem(
        { id: "shared" },
        { onHeader: (header) => (status = header.get("cache-status")) },
      );
      expect([reply.item?.calls, status]).toEqual([1, expect.stringMatching(/^heddle; hit/)]);
    }
    await channel.close();
  });

  test("answer 304 to whoever has the response, over REST and Connect", async () => {
    const etag = (await get("/v1/catalog/tagged")).headers.get("etag")!;
    expect(etag).toMatch(/^W\/"[\w-]{22}"$/);
    const known = await get("/v1/catalog/tagged", { "if-none-match": `"other", ${etag}` });
    expect([known.status, known.headers.get("etag"), known.body]).toEqual([304, etag, {}]);
    expect(known.cache).toMatch(/^heddle; hit/);
    const path =
      "/heddle.testing.v1.CatalogService/ReadItem?connect=v1&encoding=json&message=%7B%22id%22%3A%22tagged%22%7D";
    expect((await get(path)).body.item).toMatchObject({ id: "tagged" });
    expect((await get(path, { "if-none-match": etag })).status).toBe(304);
    await write("tagged", "new");
    expect((await get("/v1/catalog/tagged", { "if-none-match": etag })).status).toBe(200);
  });

  test("keep one response for each value of a header in vary", async () => {
    const german = { "accept-language": "de" };
    expect((await get("/v1/catalog/vary", german)).body.item.calls).toBe(1);
    expect((await get("/v1/catalog/vary")).body.item.calls).toBe(2);
    expect((await get("/v1/catalog/vary", german)).body.item.calls).toBe(1);
    expect((await get("/v1/catalog/vary", { ...german, "accept-encoding": "br" })).body.item.calls).toBe(1);
  });

  test("never give one caller what is another one's", async () => {
    const anna = { authorization: "Bearer anna" };
    const first = await get("/v1/own/1", anna);
    expect([first.body.owner, first.headers.get("cache-control")]).toEqual([
      "Bearer anna",
      "private, no-cache",
    ]);
    expect((await get("/v1/own/1", anna)).cache).toMatch(/hit/);
    for (const other of [
      { authorization: "Bearer bert" },
      { cookie: "session=1" },
      { "x-api-key": "k" },
      {},
    ]) {
      expect((await get("/v1/own/1", other as Record<string, string>)).cache).toBe(
        "heddle; fwd=miss; stored",
      );
    }
    // Consistency tokens say nothing about who asks.
    const cookie = "heddle-db-token-shop=3f6a2b52-1111-1111-1111-111111111111:7";
    expect((await get("/v1/own/1", { ...anna, cookie })).cache).not.toMatch(/miss/);
  });

  test("do as Cache-Control of the request says", async () => {
    await get("/v1/catalog/asked");
    const fresh = await get("/v1/catalog/asked", { "cache-control": "no-cache" });
    expect([fresh.cache, fresh.body.item.calls]).toEqual(["heddle; fwd=request; stored; detail=NO_CACHE", 2]);
    await expect.poll(async () => (await get("/v1/catalog/asked")).body.item.calls).toBe(2);
    const secret = await get("/v1/catalog/asked", { "cache-control": "no-store" });
    expect([secret.cache, secret.body.item.calls]).toEqual(["heddle; fwd=request; detail=NO_STORE", 3]);
    expect((await get("/v1/catalog/asked")).body.item.calls).toBe(2);
    expect((await get("/v1/catalog/asked", { "cache-control": "max-age=0" })).cache).toMatch(/MAX_AGE|hit/);
    const none = await get("/v1/catalog/nothing", { "cache-control": "only-if-cached" });
    expect([none.status, JSON.stringify(none.body)]).toEqual([504, expect.stringContaining("NOT_CACHED")]);
    expect(catalog.calls("nothing")).toBe(0);
    expect((await get("/v1/catalog/asked", { "cache-control": "only-if-cached" })).status).toBe(200);
  });

  test("let one caller of a hundred load, though that one leaves", async () => {
    const release = catalog.hold();
    const leaving = request(`${catalog.urls[0]}/v1/catalog/crowd`).on("error", () => undefined);
    leaving.end();
    await expect.poll(() => catalog.calls("crowd")).toBe(1);
    const others = Array.from({ length: 100 }, (_, index) => get("/v1/catalog/crowd", {}, index % 2));
    await new Promise((resolve) => leaving.once("close", resolve).destroy());
    release();
    const answers = await Promise.all(others);
    expect(new Set(answers.map(({ body }) => body.item.calls))).toEqual(new Set([1]));
    expect(catalog.calls("crowd")).toBe(1);
  });

  test("give everybody the stale response while one loads anew", async () => {
    const path = "/v1/fleeting/g";
    await get(path);
    const release = catalog.hold();
    // The first who comes too late begins to load and is answered at once.
    await expect
      .poll(async () => (await get(path)).cache)
      .toMatch(/^heddle; hit; ttl=-?\d+; detail=REVALIDATING$/);
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => get(path, {}, index % 2)));
    expect(answers.every(({ cache, body }) => /hit/.test(cache) && body.item.calls === 1)).toBe(true);
    expect(catalog.calls("g")).toBe(2);
    release();
    await expect.poll(async () => (await get(path)).body.item.calls).toBeGreaterThan(1);
  });

  test("never give a writer what was before his write", async () => {
    for (let round = 1; round <= 50; round++) {
      const text = `round ${round}`;
      await Promise.all([get("/v1/catalog/rw", {}, 0), get("/v1/catalog/rw", {}, 1)]);
      expect((await write("rw", text, { gateway: round % 2 })).status).toBe(200);
      const reads = await Promise.all([0, 1, 0, 1].map((gateway) => get("/v1/catalog/rw", {}, gateway)));
      expect(reads.map(({ body }) => body.item.text)).toEqual([text, text, text, text]);
    }
  });

  test("never give anybody what was before a write that had ended", async () => {
    const writes = { all: 100, ended: 0 };
    let hits = 0;
    const early: string[] = [];
    const writing = async () => {
      for (let count = 1; count <= writes.all; count++) {
        await write("busy", String(count), { gateway: count % 2 });
        writes.ended = count;
        // Readers get a chance to be answered from the cache.
        await Promise.all([get("/v1/catalog/busy"), get("/v1/catalog/busy", {}, 1)]);
      }
    };
    const reading = async (gateway: number) => {
      while (writes.ended < writes.all) {
        const least = writes.ended;
        const { body, cache } = await get("/v1/catalog/busy", {}, gateway);
        if (cache.includes("hit")) hits++;
        if (Number(body.item.text) < least) early.push(`${body.item.text} after ${least}: ${cache}`);
      }
    };
    await Promise.all([writing(), ...Array.from({ length: 8 }, (_, index) => reading(index % 2))]);
    expect(early).toEqual([]);
    expect(hits).toBeGreaterThan(100);
  });

  test("do not store what was loaded before a write that has ended since", async () => {
    const release = catalog.hold();
    const old = get("/v1/catalog/race");
    await expect.poll(() => catalog.calls("race")).toBe(1);
    await write("race", "new");
    release();
    expect((await old).body.item.text).toBe("");
    expect((await get("/v1/catalog/race")).body.item.text).toBe("new");
  });

  test("hear of changes that were made without them, from the service", async () => {
    await get("/v1/catalog/direct");
    catalog.selfInvalidates(true);
    await catalog.direct.writeItem({ id: "direct", text: "new" });
    catalog.selfInvalidates(false);
    expect((await get("/v1/catalog/direct")).body.item.text).toBe("new");
  });

  test("invalidate lists by what is in them, also those with too many tags", async () => {
    for (const count of [3, 20]) {
      await get(`/v1/catalog?count=${count}`);
      expect((await get(`/v1/catalog?count=${count}`)).cache).toMatch(/hit/);
    }
    await write("2", "new");
    for (const count of [3, 20]) {
      expect((await get(`/v1/catalog?count=${count}`)).cache).toBe("heddle; fwd=miss; stored");
    }
    await write("elsewhere", "new");
    expect((await get("/v1/catalog?count=3")).cache).toMatch(/hit/);
  });

  test("purge by tag, over HTTP and over gRPC, softly where there is grace", async () => {
    await get("/v1/catalog/purged");
    const purge = (body: unknown) =>
      fetch(`${catalog.admin}/cache:purge`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    expect(await (await purge({ tags: ["item:purged"] })).json()).toEqual({ complete: true });
    expect((await get("/v1/catalog/purged", {}, 1)).cache).toMatch(/miss/);
    expect((await purge({ tags: [] })).status).toBe(400);
    const channel = createChannel({ address: catalog.control });
    const admin = createClient(CacheAdminService, createTransport(channel));
    expect(await admin.purgeTags({ tags: ["item:purged"] })).toMatchObject({ complete: true });
    expect((await get("/v1/catalog/purged", {}, 1)).cache).toMatch(/miss/);
    await get("/v1/fleeting/soft");
    expect(await admin.purgeTags({ tags: ["item:soft"], soft: true })).toMatchObject({ complete: true });
    expect((await get("/v1/fleeting/soft")).cache).toMatch(/hit.*REVALIDATING/);
    await channel.close();
  });

  test("give the bearer of a new token nothing that was loaded before", async () => {
    const token = { "x-heddle-db-token": "shop=3f6a2b52-1111-1111-1111-111111111111:9" };
    await get("/v1/catalog/token");
    const first = await get("/v1/catalog/token", token);
    expect([first.cache, first.body.item.calls]).toEqual(["heddle; fwd=request; stored; detail=TOKEN", 2]);
    await expect.poll(async () => (await get("/v1/catalog/token", token)).cache).toMatch(/hit/);
  });

  test("show rules that cannot be kept, and serve the method without them", async () => {
    expect((await get("/v1/broken/b")).cache).toBe("");
    const { problems } = (await (await fetch(`${catalog.admin}/routes`)).json()) as {
      problems: { method: string; message: string }[];
    };
    const about = problems.filter(({ method }) => method === "ReadBroken").map(({ message }) => message);
    expect(about).toEqual([
      expect.stringContaining("(heddle.gateway.v1.cache): ttl must be"),
      expect.stringContaining("vary: "),
      expect.stringContaining("{nothing} is a field of neither"),
      expect.stringContaining("(heddle.gateway.v1.invalidates): a method with NO_SIDE_EFFECTS"),
    ]);
  });

  test("invalidate what a write that failed may have changed", async () => {
    await get("/v1/catalog/unsure");
    expect((await write("unsure", "new", { failWith: Code.Unknown })).status).toBe(500);
    expect((await get("/v1/catalog/unsure")).body.item.text).toBe("new");
  });

  test("count what they do", async () => {
    const metrics = await (await fetch(`${catalog.admin}/metrics`)).text();
    const route = 'route="/heddle.testing.v1.CatalogService/ReadItem"';
    for (const result of ["hit", "miss", "refused"])
      expect(metrics).toContain(`gateway_cache_requests_total{${route},result="${result}"}`);
    expect(metrics).toContain('gateway_cache_invalidations_total{by="write",outcome="applied"}');
    expect(metrics).toContain('gateway_cache_invalidations_total{by="purge",outcome="applied"}');
  });

  test("serve every call when the nodes are gone, and doubt what they could not invalidate", async () => {
    await get("/v1/catalog/down");
    await catalog.killNodes();
    const answer = await get("/v1/catalog/down");
    expect([answer.status, answer.cache]).toEqual([200, "heddle; fwd=bypass; detail=UNAVAILABLE"]);
    const begin = performance.now();
    expect((await write("down", "new")).status).toBe(200);
    expect(performance.now() - begin).toBeLessThan(5000);
    expect((await get("/v1/catalog/down")).body.item.text).toBe("new");
    const metrics = await (await fetch(`${catalog.admin}/metrics`)).text();
    expect(metrics).toMatch(/gateway_cache_errors_total [1-9]/);
    expect(metrics).toContain('gateway_cache_invalidations_total{by="write",outcome="pending"}');
  });
});

describe("a gateway without cache nodes", () => {
  beforeAll(async () => {
    catalog = await startCatalog({ gateways: 1, nodes: 0 });
  });
  afterAll(() => catalog.close());

  test("serves cached methods as if they were not", async () => {
    for (const calls of [1, 2]) {
      const { cache, body } = await get("/v1/catalog/plain");
      expect([cache, body.item.calls]).toEqual(["heddle; fwd=bypass; detail=NO_NODES", calls]);
    }
    expect((await write("plain", "new")).status).toBe(200);
    const metrics = await (await fetch(`${catalog.admin}/metrics`)).text();
    expect(metrics).toMatch(/gateway_cache_requests_total\{.*result="bypass"\} 2/);
    expect(metrics).toContain('gateway_cache_invalidations_total{by="write",outcome="no_nodes"} 1');
  });
});
