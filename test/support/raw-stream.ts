/** A gRPC stream spoken byte by byte, for tests that say what no client would. */
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
} from "node:http2";
import { once } from "node:events";

/** A stream and what came of it. */
export interface RawStream {
  readonly http: ClientHttp2Session;
  readonly stream: ClientHttp2Stream;
  /** Resolves with its trailers once the server has ended it, without any if it was reset. */
  readonly ended: Promise<Readonly<Record<string, unknown>>>;
  close(): void;
}

/** Opens a stream on `path`; `http` is the connection to use, by default a new one. */
export async function openRaw(
  address: string,
  path: string,
  http: ClientHttp2Session = connect(`http://${address}`),
): Promise<RawStream> {
  http.setMaxListeners(0).on("error", () => undefined);
  if (http.connecting) await once(http, "connect");
  const headers: OutgoingHttpHeaders = {
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc+proto",
    te: "trailers",
  };
  const stream = http.request(headers);
  const ended = new Promise<Readonly<Record<string, unknown>>>((resolve) => {
    let trailers: Readonly<Record<string, unknown>> = {};
    const keep = (fields: Readonly<Record<string, unknown>>) => {
      if (!("grpc-status" in fields)) return;
      trailers = fields;
      resolve(trailers);
    };
    stream.on("response", keep);
    stream.on("trailers", keep);
    stream.on("error", () => undefined);
    stream.on("close", () => resolve(trailers));
  });
  return { http, stream, ended, close: () => http.destroy() };
}

/** A gRPC message with its header; `length` and `compressed` may lie. */
export function framed(message: Uint8Array, lie: { length?: number; compressed?: boolean } = {}): Buffer {
  const header = Buffer.alloc(5);
  header[0] = lie.compressed === true ? 1 : 0;
  header.writeUInt32BE(lie.length ?? message.length, 1);
  return Buffer.concat([header, message]);
}
