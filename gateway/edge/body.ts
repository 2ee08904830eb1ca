/** Reads the body of a request whole, within a limit, and undoes its compression. */
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../../mesh/errors.ts";
import type { EdgeRequest } from "./listener.ts";

/** The body was longer than allowed. */
export function bodyTooLarge(maxBytes: number): ConnectError {
  const message = `the request body is longer than ${maxBytes} bytes`;
  return rpcError(Code.ResourceExhausted, Reason.BODY_TOO_LARGE, message);
}

/**
 * Resolves with the whole body, or with undefined if the request has none. Compressed bodies count after decompression.
 *
 * @throws ConnectError RESOURCE_EXHAUSTED with reason BODY_TOO_LARGE, INVALID_ARGUMENT with UNSUPPORTED_MEDIA_TYPE or
 * MALFORMED_BODY; the signal's reason if it aborts first.
 */
export function readBody(
  request: EdgeRequest,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const { headers } = request;
  const declared = headers["content-length"];
  const hasBody =
    "stream" in request
      ? !request.stream.endAfterHeaders
      : headers["transfer-encoding"] !== undefined || (declared !== undefined && declared !== "0");
  if (!hasBody) return Promise.resolve(undefined);
  if (declared !== undefined && Number(declared) > maxBytes) return Promise.reject(bodyTooLarge(maxBytes));
  const encoding = headers["content-encoding"];
  const body = collect(request, maxBytes, signal);
  return encoding === undefined ? body : body.then((bytes) => decompress(bytes, encoding, maxBytes));
}

function collect(request: EdgeRequest, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const finish = (error?: unknown): void => {
      request.off("data", take).off("end", end).off("close", closed);
      signal.removeEventListener("abort", aborted);
      if (error === undefined) resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length));
      else reject(error);
    };
    const take = (chunk: Buffer): void => {
      length += chunk.length;
      if (length <= maxBytes) return void chunks.push(chunk);
      request.resume(); // Reads on and throws away, so that the client gets to read the answer.
      finish(bodyTooLarge(maxBytes));
    };
    const end = (): void => finish();
    const closed = (): void => finish(new ConnectError("the request ended early", Code.Canceled));
    const aborted = (): void => finish(signal.reason);
    request.on("data", take).on("end", end).on("close", closed);
    signal.addEventListener("abort", aborted, { once: true });
    if (signal.aborted) aborted();
  });
}

type Decompress = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Promise<Buffer>;

const decompressors: Readonly<Record<string, Decompress>> = {
  gzip: promisify(gunzip),
  "x-gzip": promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  identity: (bytes) => Promise.resolve(Buffer.from(bytes)),
};

/**
 * Undoes one encoding, in bounded memory: a small body that grows beyond the limit is refused like a long one.
 *
 * @throws ConnectError as `readBody` does.
 */
export async function decompress(bytes: Uint8Array, encoding: string, maxBytes: number): Promise<Buffer> {
  const decompressor = decompressors[encoding.toLowerCase()];
  if (decompressor === undefined) {
    const message = `content-encoding ${encoding} is not understood; gzip, deflate and br are`;
    throw rpcError(Code.InvalidArgument, Reason.UNSUPPORTED_MEDIA_TYPE, message);
  }
  try {
    return await decompressor(bytes, { maxOutputLength: maxBytes });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw bodyTooLarge(maxBytes);
    throw rpcError(Code.InvalidArgument, Reason.MALFORMED_BODY, `the body is not valid ${encoding}`, {
      cause,
    });
  }
}
