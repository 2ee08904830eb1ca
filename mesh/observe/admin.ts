/** The HTTP port for operators and schedulers: `/healthz` (alive), `/readyz` (takes calls), `/metrics` (Prometheus). */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { messageOf } from "../errors.ts";
import type { Metrics } from "./metrics.ts";

/** What the port shows. */
export interface AdminOptions {
  readonly metrics: Metrics;
  /** Why the process is not ready, in one sentence; undefined when it is. */
  readonly notReady: () => string | undefined;
  /** More paths, such as `/routes`, and what each shows, as JSON. */
  readonly pages?: Readonly<Record<string, () => unknown>>;
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
  { method, url = "/" }: IncomingMessage,
  response: ServerResponse,
  { metrics, notReady, pages = {} }: AdminOptions,
): Promise<void> {
  if (method !== "GET" && method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return send(response, 405, "only GET and HEAD");
  }
  const [path] = url.split("?", 1);
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

function send(
  response: ServerResponse,
  status: number,
  body: string,
  type = "text/plain; charset=utf-8",
): void {
  response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
  response.end(body.endsWith("\n") ? body : `${body}\n`);
}
