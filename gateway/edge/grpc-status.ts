/** The trailers that end a gRPC call. */
import { toBinary } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { StatusSchema } from "../../gen/ts/google/rpc/status_pb.ts";
import type { Metadata } from "../../mesh/rpc/metadata.ts";
import { rpcStatus } from "../../mesh/rpc/status.ts";
import { isReserved } from "./metadata.ts";

/** Trailers of a call that went well. */
export function okTrailers(metadata: Metadata): Record<string, string> {
  const trailers: Record<string, string> = { "grpc-status": "0" };
  addMetadata(trailers, metadata);
  return trailers;
}

/** Trailers of a call that failed, with its details and the metadata that came along. */
export function errorTrailers(error: ConnectError): Record<string, string> {
  const trailers: Record<string, string> = {
    "grpc-status": String(error.code),
    "grpc-message": percentEncoded(error.rawMessage),
  };
  addMetadata(trailers, error.metadata);
  if (error.details.length > 0) {
    const bytes = Buffer.from(toBinary(StatusSchema, rpcStatus(error)));
    trailers["grpc-status-details-bin"] = bytes.toString("base64").replace(/=+$/, "");
  }
  return trailers;
}

/** Adds metadata of a reply to headers or trailers, under its own names. */
export function addMetadata(to: Record<string, string>, metadata: Metadata): void {
  for (const [name, value] of metadata) if (!isReserved(name)) to[name] = value;
}

/** As gRPC over HTTP/2 wants `grpc-message`: all but printable ASCII, and `%`, percent-encoded. */
function percentEncoded(text: string): string {
  return text.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent);
}
