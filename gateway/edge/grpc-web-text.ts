/** gRPC-Web's text mode: the same bytes as base64, for browsers that cannot read binary streams. */
import { Code } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../../mesh/errors.ts";

const textType = /^application\/grpc-web-text/i;

/** Whether a media type is the text mode. */
export function isGrpcWebText(contentType: string | undefined): boolean {
  return contentType !== undefined && textType.test(contentType);
}

/** The binary mode of the same media type. */
export function binaryType(contentType: string): string {
  return contentType.replace(textType, "application/grpc-web");
}

/** The text mode of the same media type. */
export function textTypeOf(contentType: string): string {
  return contentType.replace(/^application\/grpc-web(?!-text)/i, "application/grpc-web-text");
}

/**
 * Decodes base64 that comes in pieces of any length. Padding may stand in the middle, since clients encode each message
 * by itself.
 *
 * @throws ConnectError INVALID_ARGUMENT for anything but base64.
 */
export async function* decodeText(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let rest = "";
  for await (const chunk of chunks) {
    const text = rest + Buffer.from(chunk).toString("latin1");
    const whole = text.length - (text.length % 4);
    rest = text.slice(whole);
    if (whole > 0) yield decodeGroups(text.slice(0, whole));
  }
  if (rest !== "") throw notBase64();
}

function decodeGroups(text: string): Uint8Array {
  if (!/^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}(?:==|[A-Za-z0-9+/]=))*$/.test(text)) throw notBase64();
  const runs = text.match(/[^=]+=*/g) ?? [];
  return Buffer.concat(runs.map((run) => Buffer.from(run, "base64")));
}

function notBase64() {
  return rpcError(
    Code.InvalidArgument,
    Reason.MALFORMED_BODY,
    "the body is not base64, as grpc-web-text must be",
  );
}

/** Encodes each piece by itself. */
export async function* encodeText(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const chunk of chunks) yield Buffer.from(Buffer.from(chunk).toString("base64"), "latin1");
}
