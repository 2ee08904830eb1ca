/**
 * One port for HTTP/1.1 and HTTP/2 without TLS, told apart by the first bytes of each connection. Clients that are slow
 * to send a request are cut off, and draining ends every connection without failing a call: idle ones at once, others
 * after their last reply.
 */
import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import { createServer, type Socket } from "node:net";
import { listenOn } from "./listen.ts";
import { httpVersionOf } from "./preface.ts";

/** A request of either version of HTTP. */
export type EdgeRequest = IncomingMessage | Http2ServerRequest;

/** A response of either version of HTTP. */
export type EdgeResponse = ServerResponse | Http2ServerResponse;

/** Takes every request. It must not throw. */
export type EdgeHandler = (request: EdgeRequest, response: EdgeResponse) => void;

/** Limits of a listener. */
export interface ListenerOptions {
  /** How long a client may take to send the head of a request, and to begin at all. Default 10 s. */
  readonly headTimeoutMs?: number;
  /** How long a client may take to send a whole request over HTTP/1.1. Default 300 s. Deadlines of calls are shorter. */
  readonly requestTimeoutMs?: number;
  /** How long an HTTP/1.1 connection may be idle between requests. Default 75 s, above that of usual load balancers. */
  readonly idleTimeoutMs?: number;
  /** Longest head of a request. Default 32 KiB; longer ones get 431, or a refused stream over HTTP/2. */
  readonly maxHeadBytes?: number;
  /** Calls at a time on one HTTP/2 connection. Default 1000. */
  readonly maxStreams?: number;
}

/** The public port. */
export interface Listener {
  /** Whether it is being drained. */
  readonly draining: boolean;
  /** Listens on `host:port`, where port 0 takes a free one, and resolves with the address it got. */
  listen(address: string): Promise<string>;
  /** Takes no new connections, lets running calls finish for at most `graceMs`, then cuts off what is left. */
  drain(graceMs: number): Promise<void>;
}

/** Window of each HTTP/2 stream and connection: enough for a full body of the default limit in one round trip. */
const WINDOW_BYTES = 4 * 1024 * 1024;

/** How often HTTP/1.1 connections are checked against their timeouts. */
const CHECK_INTERVAL_MS = 1000;

/** Makes the port; it listens once told to. */
export function createListener(handler: EdgeHandler, options: ListenerOptions = {}): Listener {
  const headTimeoutMs = options.headTimeoutMs ?? 10_000;
  const maxHeadBytes = options.maxHeadBytes ?? 32 * 1024;
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const running = new Set<ServerResponse>();
  let draining = false;

  const http1 = createHttp1(
    {
      headersTimeout: headTimeoutMs,
      requestTimeout: options.requestTimeoutMs ?? 300_000,
      keepAliveTimeout: options.idleTimeoutMs ?? 75_000,
      connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, headTimeoutMs),
      maxHeaderSize: maxHeadBytes,
    },
    (request, response) => {
      if (draining) response.shouldKeepAlive = false;
      running.add(response);
      response.once("close", () => {
        running.delete(response);
        if (draining) http1.closeIdleConnections();
      });
      handler(request, response);
    },
  );
  // Node checks timeouts only once the server listens; this one is handed its connections instead.
  http1.emit("listening");

  const http2 = createHttp2(
    {
      settings: {
        maxConcurrentStreams: options.maxStreams ?? 1000,
        initialWindowSize: WINDOW_BYTES,
        maxHeaderListSize: maxHeadBytes,
      },
    },
    handler,
  );
  http2.on("session", (session) => {
    sessions.add(session);
    session.setLocalWindowSize(WINDOW_BYTES);
    session.once("close", () => sessions.delete(session));
    session.on("error", () => session.destroy());
    if (draining) session.close();
  });

  const port = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    recognise(socket, headTimeoutMs, (version) => {
      (version === "http2" ? http2 : http1).emit("connection", socket);
    });
  });

  return {
    get draining() {
      return draining;
    },
    listen: (address) => listenOn(port, address),
    async drain(graceMs) {
      draining = true;
      const closed = new Promise<void>((resolve) => port.close(() => resolve()));
      for (const session of sessions) session.close();
      for (const response of running) response.shouldKeepAlive = false;
      http1.close();
      const cut = setTimeout(() => sockets.forEach((socket) => socket.destroy()), graceMs);
      await closed;
      clearTimeout(cut);
    },
  };
}

/** Reads until the version is known, then puts what was read back. */
function recognise(socket: Socket, timeoutMs: number, known: (version: "http1" | "http2") => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const give = (): void => void socket.destroy();
  socket.on("error", give);
  socket.setTimeout(timeoutMs, give);
  socket.on("data", function read(chunk: Buffer) {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const version = httpVersionOf(seen);
    if (version === undefined) return;
    socket.off("data", read);
    socket.off("error", give);
    socket.setTimeout(0, give);
    socket.pause();
    socket.unshift(seen);
    known(version);
    if (version === "http1") socket.resume();
  });
}
