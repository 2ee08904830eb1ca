/** The HTTP port for operators and schedulers: `/healthz` (alive), `/readyz` (takes calls), `/metrics` (Prometheus). */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { messageOf } from "../errors.ts";
import type { Metrics } from "./metrics.ts";

/** What the port shows. */
export interface AdminOptions {
  readonly metrics: Metrics;
  /** Why the process is not ready, in one sentence; undefined when it is. */
  readonly notReady: () => string | undefined;
  /** More paths, such as `/routes`, and what each shows, as JSON. */
  readonly pages?: Readonly<Record<string, () => unknown>>;
  /**
   * Paths that something is posted to, such as `/cache:purge`: each takes the JSON of the body and gives that of the answer.
   * What it refuses with INVALID_ARGUMENT is 400.
   */
  readonly actions?: Readonly<Record<string, (body: unknown) => Promise<unknown>>>;
}

/** A listening admin port. */
export interface Admin {
  /** `host:port`. */
  readonly address: string;
  /** Stops listening and cuts what is open. */
  close(): Promise<void>;
}

/** Listens on `host:port`; port 0 takes a free one. */
export async function listenAdmin(address: string, options: AdminOptions): Promise<Admin> {
  const server = createServer((request, response) => {
    answer(request, response, options).catch((error: unknown) => send(response, 500, messageOf(error)));
  });
  const split = address.lastIndexOf(":");
  const host = address.slice(0, split).replace(/^\[|\]$/g, "");
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(new Error(`cannot listen on ${address}: ${error.message}`, { cause: error })),
    );
    server.listen(Number(address.slice(split + 1)), host, resolve);
  });
  return {
    address: `${address.slice(0, split)}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { metrics, notReady, pages = {}, actions = {} }: AdminOptions,
): Promise<void> {
  const { method, url = "/" } = request;
  const [path] = url.split("?", 1);
  const action = path === undefined || !Object.hasOwn(actions, path) ? undefined : actions[path];
  if (action !== undefined) return act(request, response, action);
  if (method !== "GET" && method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return send(response, 405, "only GET and HEAD");
  }
  if (path === "/healthz") return send(response, 200, "ok");
  if (path === "/readyz") {
    const reason = notReady();
    return send(response, reason === undefined ? 200 : 503, reason ?? "ok");
  }
  if (path === "/metrics") {
    return send(response, 200, await metrics.registry.metrics(), metrics.registry.contentType);
  }
  const page = path === undefined || !Object.hasOwn(pages, path) ? undefined : pages[path];
  if (page !== undefined) return send(response, 200, JSON.stringify(page(), null, 2), "application/json");
  return send(response, 404, ["known here: /healthz /readyz /metrics", ...Object.keys(pages)].join(" "));
}

async function act(
  request: IncomingMessage,
  response: ServerResponse,
  action: (body: unknown) => Promise<unknown>,
): Promise<void> {
  if (request.method !== "POST") {
    response.setHeader("allow", "POST");
    return send(response, 405, "only POST");
  }
  // A page in a browser could post plain text here without asking; JSON needs a preflight, which nobody grants.
  if (!/^application\/json\b/i.test(request.headers["content-type"] ?? ""))
    return send(response, 415, "the body must be application/json");
  try {
    const body = JSON.parse(await textOf(request)) as unknown;
    send(response, 200, JSON.stringify(await action(body), null, 2), "application/json");
  } catch (error) {
    const isTheirs =
      error instanceof SyntaxError ||
      (error instanceof ConnectError && error.code === Code.InvalidArgument) ||
      error instanceof RangeError;
    if (!isTheirs) throw error;
    send(response, 400, messageOf(error));
  }
}

const MAX_BODY_BYTES = 256 * 1024;

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new RangeError(`the body has more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  type = "text/plain; charset=utf-8",
): void {
  response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
  response.end(body.endsWith("\n") ? body : `${body}\n`);
}
