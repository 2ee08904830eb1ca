/**
 * The port of a node. The streams that carry nearly all its traffic are served right on HTTP/2; every other call, such
 * as health, reflection and single operations, goes on to the gRPC server behind it.
 */
import {
  connect,
  constants,
  createServer,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { widenWindow, WINDOW_BYTES } from "../mesh/cache/batches.ts";
import type { CacheNode } from "./node.ts";
import { serveSession, type Unread } from "./session.ts";
import { serveReplication } from "./transport.ts";

/** The port of a node. */
export interface Front {
  /** `host:port` that it listens on. */
  readonly address: string;
  close(): Promise<void>;
}

const SESSION_PATH = "/heddle.cache.v1.CacheService/Session";
const REPLICATE_PATH = "/heddle.cache.v1.ReplicationService/Replicate";
/** Streams of one connection. A client needs one, and one for each single operation under way. */
const MAX_STREAMS = 256;
const INVALID_ARGUMENT = "3";
const UNAVAILABLE = "14";

/** What a port passes its traffic to, once that is there. */
export interface FrontOptions {
  node(): CacheNode | undefined;
  /** Address of the gRPC server behind. */
  behind(): string | undefined;
}

/** Listens on `host:port`, where port 0 takes a free one. */
export async function listenFront(address: string, options: FrontOptions): Promise<Front> {
  const server = createServer({
    settings: { initialWindowSize: WINDOW_BYTES, maxConcurrentStreams: MAX_STREAMS },
  });
  const sessions = new Set<ServerHttp2Session>();
  const unread: Unread = { bytes: 0 };
  const inner = createInner(() => options.behind());
  server.on("session", (session) => {
    sessions.add(session);
    widenWindow(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => session.destroy());
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => stream.destroy());
    const node = options.node();
    if (node === undefined) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
    const path = headers[":path"];
    if (path !== SESSION_PATH && path !== REPLICATE_PATH) return inner.forward(stream, headers);
    const end = respond(stream);
    const malformed = (error: unknown) =>
      end(INVALID_ARGUMENT, error instanceof RangeError ? error.message : "the message is malformed");
    if (path === REPLICATE_PATH) serveReplication(node, stream, malformed);
    else serveSession(node, stream, unread, { malformed, over: () => end("0", "") });
  });
  const [host, port] = splitAddress(address);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve());
  });
  return {
    address: `${host}:${(server.address() as AddressInfo).port}`,
    async close() {
      inner.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}

/** Begins a gRPC answer; the result ends it with a status. */
function respond(stream: ServerHttp2Stream): (status: string, message: string) => void {
  let trailers: Record<string, string> = { "grpc-status": "0" };
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => {
    stream.sendTrailers(trailers);
    // A client that goes on sending need not be heard.
    if (trailers["grpc-status"] !== "0") setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
  });
  return (status, message) => {
    trailers = {
      "grpc-status": status,
      ...(message === "" ? {} : { "grpc-message": encodeURIComponent(message) }),
    };
    stream.removeAllListeners("data");
    stream.resume();
    if (!stream.writableEnded) stream.end();
  };
}

/** Passes calls on to the server behind, as they are. */
function createInner(behind: () => string | undefined) {
  let session: ClientHttp2Session | undefined;

  function open(address: string): ClientHttp2Session {
    const opened = connect(`http://${address}`);
    const drop = () => {
      if (session === opened) session = undefined;
    };
    opened.on("error", drop);
    opened.on("goaway", drop);
    opened.on("close", drop);
    opened.unref();
    return opened;
  }

  return {
    forward(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
      const address = behind();
      if (address === undefined) {
        stream.respond(
          { ":status": 200, "content-type": "application/grpc", "grpc-status": UNAVAILABLE },
          { endStream: true },
        );
        return;
      }
      session ??= open(address);
      const call = session.request(headers);
      call.on("response", (answer, flags) => {
        if (stream.destroyed) return call.close();
        const isOnly = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
        stream.respond(answer, isOnly ? { endStream: true } : { waitForTrailers: true });
        call.pipe(stream, { end: true });
      });
      let trailers = {};
      call.on("trailers", (fields) => (trailers = fields));
      stream.on("wantTrailers", () => stream.sendTrailers(withoutPseudo(trailers)));
      call.on("error", () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
      stream.on("close", () => call.close(stream.rstCode));
      stream.pipe(call);
    },
    close: () => session?.destroy(),
  };
}

function withoutPseudo(fields: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !name.startsWith(":")));
}

function splitAddress(address: string): [string, number] {
  const colon = address.lastIndexOf(":");
  return [address.slice(0, colon), Number(address.slice(colon + 1))];
}
