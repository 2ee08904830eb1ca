/**
 * Sends one request again and again, over HTTP/1.1 or gRPC, from a process of its own, and prints what it saw as JSON.
 * Closed loop: each connection sends the next request when the last one is answered. Open loop: requests are due at a
 * fixed rate whatever the answers do, and latency counts from when a request was due (no coordinated omission).
 *
 *     node bench/load.ts '{"target": {…}, "connections": 32, "requests": 20000}'
 */
import { connect, type Socket } from "node:net";
import { createGrpcJsConnection } from "../mesh/rpc/grpc-js-connection.ts";

/** What to send, and how often. */
export interface LoadPlan {
  readonly target: Target;
  /** Connections of HTTP/1.1; calls at a time of gRPC. */
  readonly connections: number;
  readonly requests: number;
  /** Requests per second of the open loop. Default: closed loop. */
  readonly rate?: number;
}

/** A request as the wire has it, so that making it costs nothing here. */
export type Target =
  | { readonly protocol: "http"; readonly address: string; readonly request: string }
  | { readonly protocol: "grpc"; readonly address: string; readonly path: string; readonly message: string };

/** What came of it. */
export interface LoadResult {
  readonly requests: number;
  readonly failed: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Sends one request; resolves with whether it was answered well. */
type Sender = () => Promise<boolean>;

async function run(plan: LoadPlan): Promise<LoadResult> {
  const senders = await Promise.all(Array.from({ length: plan.connections }, () => open(plan.target)));
  const latenciesUs: number[] = [];
  let failed = 0;
  const begin = performance.now();

  async function send(sender: Sender, dueMs: number): Promise<void> {
    const ok = await sender();
    latenciesUs.push((performance.now() - dueMs) * 1000);
    if (!ok) failed += 1;
  }

  if (plan.rate === undefined) {
    let left = plan.requests;
    const work = async (sender: Sender): Promise<void> => {
      while (left-- > 0) await send(sender, performance.now());
    };
    await Promise.all(senders.map(work));
  } else {
    await openLoop(senders, plan.requests, plan.rate, send);
  }
  const seconds = (performance.now() - begin) / 1000;
  latenciesUs.sort((a, b) => a - b);
  const quantile = (ratio: number) =>
    Math.round(latenciesUs[Math.min(latenciesUs.length - 1, Math.floor(latenciesUs.length * ratio))] ?? 0);
  return { requests: latenciesUs.length, failed, seconds, p50Us: quantile(0.5), p99Us: quantile(0.99) };
}

async function openLoop(
  senders: readonly Sender[],
  requests: number,
  rate: number,
  send: (sender: Sender, dueMs: number) => Promise<void>,
): Promise<void> {
  const free = [...senders];
  const due: number[] = [];
  const running: Promise<void>[] = [];
  const begin = performance.now();
  const dispatch = (): void => {
    while (free.length > 0 && due.length > 0) {
      const sender = free.pop()!;
      const sent = send(sender, due.shift()!).then(() => {
        free.push(sender);
        dispatch();
      });
      running.push(sent);
    }
  };
  for (let count = 0; count < requests;) {
    const now = performance.now();
    for (; count < requests && begin + (count * 1000) / rate <= now; count++)
      due.push(begin + (count * 1000) / rate);
    dispatch();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  while (running.length < requests) await new Promise((resolve) => setTimeout(resolve, 1));
  await Promise.all(running);
}

function open(target: Target): Promise<Sender> {
  return target.protocol === "http" ? openHttp(target) : Promise.resolve(openGrpc(target));
}

/** One connection of HTTP/1.1. Answers must have a `Content-Length`. */
function openHttp({ address, request }: Target & { protocol: "http" }): Promise<Sender> {
  const [host = "", port] = address.split(":");
  const bytes = Buffer.from(request);
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host, port: Number(port), noDelay: true });
    let answered: (ok: boolean) => void = () => undefined;
    let seen = "";
    socket.setEncoding("latin1");
    socket.on("error", reject);
    socket.on("data", (chunk: string) => {
      seen += chunk;
      const head = seen.indexOf("\r\n\r\n");
      const length = /content-length: (\d+)/i.exec(seen)?.[1];
      if (head < 0 || seen.length < head + 4 + Number(length ?? 0)) return;
      const ok = seen.startsWith("HTTP/1.1 200");
      seen = "";
      answered(ok);
    });
    socket.on("connect", () => {
      resolve(() => {
        socket.write(bytes);
        return new Promise((resolve) => (answered = resolve));
      });
    });
  });
}

const grpcConnections = new Map<string, ReturnType<typeof createGrpcJsConnection>>();

/** One call at a time; all of them share a connection, as those of any gRPC client do. */
function openGrpc({ address, path, message }: Target & { protocol: "grpc" }): Sender {
  const connection = grpcConnections.get(address) ?? createGrpcJsConnection(address);
  grpcConnections.set(address, connection);
  const bytes = Buffer.from(message, "base64");
  return () =>
    new Promise((resolve) => {
      const head = { path, metadata: new Headers(), deadline: Infinity };
      const stream = connection.open(head, {
        header: () => undefined,
        message: () => stream.read(),
        end: (_, error) => resolve(error === undefined),
      });
      stream.send(bytes);
      stream.halfClose();
      stream.read();
    });
}

if (import.meta.main) {
  const result = await run(JSON.parse(process.argv[2] ?? "") as LoadPlan);
  console.log(JSON.stringify(result));
  process.exit(0);
}
