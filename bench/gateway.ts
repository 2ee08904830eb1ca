/**
 * What a hop through the gateway costs: CPU of the whole gateway process for each request, and the latency that it adds
 * to the same call made straight to the service.
 *
 *     npm run bench -- gateway [--requests 20000] [--rounds 3] [--prof FOLDER]
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  CancelItemRequestSchema,
  GetItemRequestSchema,
} from "../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { startEcho, startGateway, type GatewayProcess } from "../test/support/gateway.ts";
import { startNode, type NodeProcess } from "../test/support/node-process.ts";
import type { LoadPlan, LoadResult, Target } from "./load.ts";

const CONNECTIONS = 32;
const RATE = 1000;
const REASON = "r".repeat(1000);
const SERVICE = "/heddle.testing.v1.EchoService";

const getItem = toBinary(
  GetItemRequestSchema,
  create(GetItemRequestSchema, { shelf: "7", itemId: "42", related: [1n, 2n] }),
);
const cancelItem = toBinary(
  CancelItemRequestSchema,
  create(CancelItemRequestSchema, { itemId: "42", reason: REASON }),
);

/** Starts a service and a gateway in front of it, and prints the table. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      requests: { type: "string", default: "20000" },
      rounds: { type: "string", default: "3" },
      prof: { type: "string" },
    },
  });
  const echo = await startEcho();
  const upstream = echo.ready["address"]!;
  const profile = values.prof === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${values.prof}`];
  const gateway = await startGateway(`upstreams: [{ name: echo, address: "${upstream}" }]`, profile);
  const hop = ["bench/bare-hop.ts", upstream, `${SERVICE}/GetItem`, Buffer.from(getItem).toString("base64")];
  const bareHop = await startNode(hop, { readyMessage: "ready" });
  try {
    const cases = casesOf({ gateway, bareHop, upstream });
    await report(cases, Number(values.requests), Number(values.rounds));
  } finally {
    await gateway.stop();
    await bareHop.stop();
    await echo.stop();
  }
}

interface Case {
  readonly name: string;
  /** Whose CPU time counts. */
  readonly hop: NodeProcess;
  readonly through: Target;
  readonly direct: Target;
}

interface Parts {
  readonly gateway: GatewayProcess;
  readonly bareHop: NodeProcess;
  readonly upstream: string;
}

function casesOf({ gateway, bareHop, upstream }: Parts): Case[] {
  const { edge } = gateway;
  const get = "/v1/shelves/7/item/42?related=1&related=2";
  const json = JSON.stringify({ itemId: "42", reason: REASON });
  const getDirect = grpc(upstream, "GetItem", getItem);
  const cancelDirect = grpc(upstream, "CancelItem", cancelItem);
  const through = (name: string, target: Target, direct: Target) => ({
    name,
    hop: gateway,
    through: target,
    direct,
  });
  return [
    through("REST, GET", rest(edge, "GET", get), getDirect),
    through(
      "REST, POST 1 KiB",
      rest(edge, "POST", "/v1/items/42:cancel", JSON.stringify({ reason: REASON })),
      cancelDirect,
    ),
    through("Connect, POST 1 KiB", rest(edge, "POST", `${SERVICE}/CancelItem`, json), cancelDirect),
    through("gRPC", grpc(edge, "GetItem", getItem), getDirect),
    {
      name: "bare hop, GET",
      hop: bareHop,
      through: rest(bareHop.ready["listen"]!, "GET", "/"),
      direct: getDirect,
    },
  ];
}

/** Rounds of all cases are interleaved, so that other load on the machine hits all alike; each figure is the median. */
async function report(cases: readonly Case[], requests: number, rounds: number): Promise<void> {
  console.log(
    `Node ${process.version}; median of ${rounds} rounds of ${requests} requests, ${CONNECTIONS} at a time`,
  );
  const closed = new Map<Case, Row[]>(cases.map((each) => [each, []]));
  const open = new Map<Case, Row[]>(cases.map((each) => [each, []]));
  for (const each of cases) await measure(each, { connections: CONNECTIONS, requests });
  for (let round = 0; round < rounds; round++) {
    for (const each of cases) {
      closed.get(each)!.push(await measure(each, { connections: CONNECTIONS, requests }));
      open.get(each)!.push(await measure(each, { connections: 64, requests: 5 * RATE, rate: RATE }));
    }
  }
  console.table(tableOf(closed));
  console.log(`The same at ${RATE} requests a second, due whatever the answers do`);
  console.table(tableOf(open));
}

type Row = Readonly<Record<string, number>>;

async function measure(each: Case, how: Omit<LoadPlan, "target">): Promise<Row> {
  const direct = await load({ ...how, target: each.direct });
  const before = each.hop.cpuUs();
  const through = await load({ ...how, target: each.through });
  const cpuUs = (each.hop.cpuUs() - before) / through.requests;
  return {
    "CPU µs/request": cpuUs,
    "requests/s": through.requests / through.seconds,
    "p50 µs": through.p50Us,
    "p50 µs direct": direct.p50Us,
    "p50 µs added": through.p50Us - direct.p50Us,
    "p99 µs": through.p99Us,
    "p99 µs direct": direct.p99Us,
    "p99 µs added": through.p99Us - direct.p99Us,
    failed: through.failed + direct.failed,
  };
}

function tableOf(rows: ReadonlyMap<Case, readonly Row[]>): Record<string, Row> {
  return Object.fromEntries([...rows].map(([{ name }, each]) => [name, medians(each)]));
}

function medians(rows: readonly Row[]): Row {
  const columns = Object.keys(rows[0] ?? {});
  return Object.fromEntries(
    columns.map((column) => {
      const sorted = rows.map((row) => row[column]!).sort((a, b) => a - b);
      return [column, Math.round(sorted[Math.floor(sorted.length / 2)]!)];
    }),
  );
}

/** The load runs in a process of its own, so that it does not slow what it measures more than it must. */
async function load(plan: LoadPlan): Promise<LoadResult> {
  const script = join(import.meta.dirname, "load.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [script, JSON.stringify(plan)]);
  return JSON.parse(stdout) as LoadResult;
}

function rest(address: string, method: string, path: string, body = ""): Target {
  const head = [`${method} ${path} HTTP/1.1`, `host: ${address}`, "accept: application/json"];
  if (body !== "") head.push("content-type: application/json", `content-length: ${Buffer.byteLength(body)}`);
  return { protocol: "http", address, request: `${head.join("\r\n")}\r\n\r\n${body}` };
}

function grpc(address: string, method: string, message: Uint8Array): Target {
  return {
    protocol: "grpc",
    address,
    path: `${SERVICE}/${method}`,
    message: Buffer.from(message).toString("base64"),
  };
}
