/**
 * What routing and transcoding cost, without any socket: microseconds for one request. Routing is shown with 10, 100 and
 * 1,000 routes; transcoding beside protobuf-es doing the same work.
 */
import { fromBinary, fromJsonString, toBinary, toJsonString } from "@bufbuild/protobuf";
import { EchoRequestSchema, EchoResponseSchema } from "../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { echoTable, matchOf } from "../gateway/routes/echo.fixture.ts";
import { encodeRequest } from "../gateway/routes/request.ts";
import { encodeReply } from "../gateway/routes/response.ts";
import { createRouter, type Router } from "../gateway/routes/router.ts";
import { parseTemplate } from "../gateway/routes/template.ts";

/** Prints all figures. */
export function run(): void {
  console.log("µs each: median of 9 rounds [fastest..slowest]\n");
  for (const count of [10, 100, 1000]) benchRoutes(count);
  benchTranscoding();
}

function benchRoutes(count: number): void {
  const router = routerOf(count);
  const last = `/v1/service${Math.floor(count / 10) - 1}`;
  const kinds: readonly (readonly [string, string, string])[] = [
    ["literal", "GET", `${last}/things/recent`],
    ["one variable", "GET", `${last}/things/4711`],
    ["two variables, encoded", "GET", `${last}/things/a%2Fb%20c/parts/x%3Ay`],
    ["verb", "POST", `${last}/things/4711:cancel`],
    ["rest of the path", "GET", `${last}/files/a/b/c/d`],
    ["wrong method", "PATCH", `${last}/things/4711`],
    ["not found", "GET", "/v2/nothing/here"],
  ];
  for (const [name, httpMethod, path] of kinds) {
    print(`match, ${count} routes: ${name}`, () => router(httpMethod, path));
  }
}

/** Ten routes for each service, as real APIs have them. */
function routerOf(count: number): Router<number> {
  const routes = Array.from({ length: count / 10 }, (_, i) => {
    const base = `/v1/service${i}`;
    return [
      ["GET", `${base}/things`],
      ["POST", `${base}/things`],
      ["GET", `${base}/things/recent`],
      ["GET", `${base}/things/{id}`],
      ["DELETE", `${base}/things/{id}`],
      ["POST", `${base}/things/{id}:cancel`],
      ["GET", `${base}/things/{id}/parts/{part}`],
      ["PUT", `${base}/things/{id}/parts/{part}`],
      ["GET", `${base}/{name=owners/*/things/*}`],
      ["GET", `${base}/files/{path=**}`],
    ] as const;
  }).flat();
  const entries = routes.map(([httpMethod, path], target) => ({
    httpMethod,
    template: parseTemplate(path),
    target,
  }));
  return createRouter(entries).router;
}

function benchTranscoding(): void {
  const get = matchOf("GET", "/v1/shelves/7/item/42");
  const query = "related=1&related=2&filter.text=a%20b&filter.color=COLOR_RED&filter.nested.number=3";
  print("GET, 2 path and 5 query parameters, to protobuf", () =>
    encodeRequest(get, { query, contentType: undefined, body: undefined }),
  );

  const post = matchOf("POST", "/v1/echo");
  const text = JSON.stringify({ sample: sampleOf(1065 - 400) });
  const body = new TextEncoder().encode(text);
  print(`POST, ${body.length} bytes of JSON, to protobuf`, () =>
    encodeRequest(post, { query: "", contentType: "application/json", body }),
  );
  print("  the same by protobuf-es", () =>
    toBinary(EchoRequestSchema, fromJsonString(EchoRequestSchema, new TextDecoder().decode(body))),
  );

  const reply = toBinary(EchoResponseSchema, fromJsonString(EchoResponseSchema, text));
  print(`reply, ${reply.length} bytes of protobuf, to JSON`, () => encodeReply(post.route, reply));
  print("  the same by protobuf-es", () =>
    toJsonString(EchoResponseSchema, fromBinary(EchoResponseSchema, reply), {
      alwaysEmitImplicit: true,
      registry: echoTable.registry,
    }),
  );
}

function sampleOf(textLength: number): object {
  return {
    text: "x".repeat(textLength),
    int64: "9007199254740993",
    bool: true,
    color: "COLOR_BLUE",
    texts: ["one", "two", "three"],
    numbers: [1, 2, 3, 4, 5],
    nesteds: [
      { name: "a", number: 1 },
      { name: "b", number: 2, tags: ["x", "y"] },
    ],
    labels: { region: "north", tier: "gold" },
    timestamp: "2026-01-31T12:00:00.500Z",
    stringValue: "wrapped",
  };
}

function print(name: string, task: () => unknown): void {
  const [fastest, median, slowest] = measure(task).map((us) => us.toFixed(2));
  console.log(`${name.padEnd(55)} ${median?.padStart(7)}  [${fastest}..${slowest}]`);
}

/** Microseconds for one run: the fastest, the median and the slowest round. */
function measure(task: () => unknown): [number, number, number] {
  const rounds = 9;
  const runs = 20_000;
  for (let i = 0; i < runs; i++) task();
  const times = Array.from({ length: rounds }, () => {
    const start = performance.now();
    for (let i = 0; i < runs; i++) task();
    return ((performance.now() - start) * 1000) / runs;
  }).sort((a, b) => a - b);
  return [times[0] ?? 0, times[Math.floor(rounds / 2)] ?? 0, times[rounds - 1] ?? 0];
}
