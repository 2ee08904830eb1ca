/** Metadata between the two shapes in use: `Headers` above the wire, grpc-js's `Metadata` at it. */
import { Metadata as GrpcMetadata } from "@grpc/grpc-js";
import type { Metadata } from "./metadata.ts";

/** Headers that belong to a connection or to gRPC itself, and so are never copied from one call to another. */
const hopHeaders = new Set([
  "accept-encoding",
  "connection",
  "content-length",
  "content-type",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "user-agent",
]);

/**
 * To grpc-js. Headers of the hop (`connection`, `content-type`, `user-agent`, …) and all of `grpc-*` are left out.
 *
 * @throws Error if a value holds characters other than printable ASCII.
 */
export function toGrpcMetadata(headers: Metadata, into = new GrpcMetadata()): GrpcMetadata {
  for (const [name, value] of headers) {
    if (hopHeaders.has(name) || name.startsWith("grpc-")) continue;
    if (!name.endsWith("-bin")) into.add(name, value);
    else for (const part of value.split(",")) into.add(name, Buffer.from(part.trim(), "base64"));
  }
  return into;
}

/** From grpc-js. Several values of one name are joined by ", ", as `Headers` does. gRPC's own status is left out. */
export function fromGrpcMetadata(metadata: GrpcMetadata): Metadata {
  const headers = new Headers();
  for (const [name, value] of Object.entries(metadata.toHttp2Headers())) {
    if (value === undefined || protocolHeaders.has(name)) continue;
    const text = Array.isArray(value) ? value.join(", ") : String(value);
    headers.set(name, name.endsWith("-bin") ? text.replaceAll("=", "") : text);
  }
  return headers;
}

/** Headers of a reply that say nothing beyond what its status, messages and codec say already. */
const protocolHeaders = new Set([
  "content-type",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-message",
  "grpc-status",
  "grpc-status-details-bin",
]);
