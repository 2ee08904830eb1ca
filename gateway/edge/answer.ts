/** Writes responses of REST calls: head and body in one go, errors always as JSON of a `google.rpc.Status`. */
import type { Registry } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { errorInfo, reasonName, retryAfterMs, rpcError } from "../../mesh/errors.ts";
import { statusBody } from "../routes/status.ts";
import type { Exchange } from "./exchange.ts";
import type { EdgeResponse } from "./listener.ts";
import { replyHeaders } from "./metadata.ts";

/** Names and values of headers, one after the other, as Node takes them fastest. */
export type HeaderList = (string | string[])[];

/** Headers that every response begins with. */
export function firstHeaders({ requestId }: Exchange, contentType: string): HeaderList {
  return ["content-type", contentType, "x-request-id", requestId];
}

/** Writes a whole response. A response to HEAD has the head only. */
export function answer(
  exchange: Exchange,
  status: number,
  headers: HeaderList,
  body: string | Uint8Array | undefined,
): void {
  const { response } = exchange;
  if (body !== undefined) {
    headers.push("content-length", String(typeof body === "string" ? Buffer.byteLength(body) : body.length));
  }
  writeHead(response, status, headers);
  if (body === undefined || exchange.method === "HEAD") response.end();
  else response.end(body);
}

/** Writes the head of a response. */
export function writeHead(response: EdgeResponse, status: number, headers: HeaderList): void {
  // Both versions of HTTP take a flat list; their common type knows objects only.
  (response as { writeHead(status: number, headers: HeaderList): unknown }).writeHead(status, headers);
}

/** Writes a part of a body. False if the reader is behind: wait with `drained`. */
export function writeData(response: EdgeResponse, data: string | Uint8Array, written?: () => void): boolean {
  type Writer = { write(data: string | Uint8Array, written?: () => void): boolean };
  return (response as Writer).write(data, written);
}

/**
 * Answers with an error. Reply metadata goes along, `RetryInfo` becomes `Retry-After`, and 401 says how to authenticate.
 */
export function answerError(
  exchange: Exchange,
  thrown: unknown,
  registry: Registry,
  extra: HeaderList = [],
): void {
  const error = edgeError(thrown);
  exchange.end(error);
  if (exchange.gone) return;
  const { httpStatus, json } = statusBody(error, registry);
  const headers = firstHeaders(exchange, "application/json");
  const names = new Set<string>();
  replyHeaders(error.metadata, (name, value) => {
    names.add(name);
    headers.push(name, value);
  });
  const wait = retryAfterMs(error);
  if (wait !== undefined && !names.has("retry-after"))
    headers.push("retry-after", String(Math.ceil(wait / 1000)));
  if (httpStatus === 401 && !names.has("www-authenticate")) headers.push("www-authenticate", "Bearer");
  headers.push(...extra);
  answer(exchange, httpStatus, headers, json);
}

const unreachable: readonly (string | undefined)[] = [
  reasonName(Reason.CONNECT_FAILED),
  reasonName(Reason.CONNECTION_LOST),
];

/**
 * The error to show for whatever was thrown. Addresses within the mesh and accidents of the gateway are for the log only:
 * they become the cause of an error that says no more than a caller may know.
 */
export function edgeError(thrown: unknown): ConnectError {
  if (!(thrown instanceof ConnectError)) {
    const message = "internal error of the gateway; its log has the cause";
    return rpcError(Code.Internal, Reason.INTERNAL, message, { cause: thrown });
  }
  const reason = thrown.isWireError ? undefined : errorInfo(thrown)?.reason;
  if (reason === undefined || !unreachable.includes(reason)) return thrown;
  const lost = reason === reasonName(Reason.CONNECTION_LOST);
  return rpcError(
    thrown.code,
    lost ? Reason.CONNECTION_LOST : Reason.CONNECT_FAILED,
    lost ? "the connection to the service was lost while the call ran" : "the service cannot be reached now",
    { cause: thrown },
  );
}
