/** Between replies of services, what is stored of them, and replies from the cache with the headers that HTTP has for it. */
import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import {
  CachedResponseSchema,
  type CachedResponse,
  type Header,
} from "../../../gen/ts/heddle/gateway/v1/cached_response_pb.ts";
import type { Reply } from "../../../mesh/rpc/call.ts";
import type { Metadata } from "../../../mesh/rpc/metadata.ts";
import { ageMs } from "./refusal.ts";
import type { ReadRule } from "./rules.ts";
import { keptHeaders } from "./storable.ts";

/** What the cache did, as `Cache-Status` tells it (RFC 9211). */
export type CacheStatus =
  | { readonly hit: true; readonly ttlMs: number; readonly detail?: string }
  | {
      readonly hit: false;
      /** Why the call went on to the service. */
      readonly forward: "bypass" | "miss" | "request" | "stale";
      readonly isStored: boolean;
      readonly detail?: string;
    };

/** What to store of a reply. */
export function entryOf(
  { message = new Uint8Array(), metadata, trailers }: Reply,
  about: Pick<CachedResponse, "loadedAtMs" | "ttlMs" | "tags" | "loadedBy">,
): CachedResponse {
  return create(CachedResponseSchema, {
    message,
    headers: keptHeaders(metadata),
    trailers: keptHeaders(trailers()),
    etag: metadata.get("etag") ?? etagOf(message),
    ...about,
  });
}

/** A reply from the cache. */
export function replyOf(rule: ReadRule, entry: CachedResponse, nowMs: number, detail?: string): Reply {
  const metadata = metadataOf(entry.headers);
  const age = ageMs(entry, nowMs);
  metadata.set("age", String(Math.floor(age / 1000)));
  const status: CacheStatus = {
    hit: true,
    ttlMs: entry.ttlMs - age,
    ...(detail !== undefined && { detail }),
  };
  describe(rule, metadata, entry.etag, status);
  const trailers = entry.trailers;
  return { metadata, message: entry.message, trailers: () => metadataOf(trailers) };
}

/** A reply of the service, with the headers of the cache. */
export function forwardedReply(rule: ReadRule, reply: Reply, status: CacheStatus): Reply {
  const metadata = new Headers(reply.metadata);
  const etag = metadata.get("etag") ?? etagOf(reply.message ?? new Uint8Array());
  describe(rule, metadata, etag, status);
  return { ...reply, metadata };
}

/** The value of `Cache-Status`. */
export function statusText(status: CacheStatus): string {
  const parts = status.hit
    ? ["heddle", "hit", `ttl=${Math.floor(status.ttlMs / 1000)}`]
    : ["heddle", `fwd=${status.forward}`, ...(status.isStored ? ["stored"] : [])];
  if (status.detail !== undefined) parts.push(`detail=${status.detail}`);
  return parts.join("; ");
}

/** Weak, since the same message may be written as JSON, protobuf, or compressed. */
export function etagOf(message: Uint8Array): string {
  return `W/"${createHash("sha256").update(message).digest("base64url").slice(0, 22)}"`;
}

/** Whether `If-None-Match` names the tag, by weak comparison (RFC 9110, 13.1.2). */
export function matchesEtag(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch.trim() === "*") return true;
  const opaque = etag.replace(/^W\//, "");
  return ifNoneMatch.match(/"[^"]*"/g)?.some((each) => each === opaque) ?? false;
}

function describe(rule: ReadRule, metadata: Metadata, etag: string, status: CacheStatus): void {
  metadata.set("etag", etag);
  metadata.append("cache-status", statusText(status));
  // Nothing can be invalidated beyond this point: whoever keeps a copy asks each time, and mostly gets a 304.
  if (!metadata.has("cache-control"))
    metadata.set("cache-control", rule.isPublic ? "public, no-cache" : "private, no-cache");
  for (const name of rule.vary)
    if (!names(metadata.get("vary")).includes(name)) metadata.append("vary", name);
}

function names(list: string | null): string[] {
  return (list ?? "").split(",").map((name) => name.trim().toLowerCase());
}

function metadataOf(headers: readonly Header[]): Metadata {
  return new Headers(headers.map(({ name, value }): [string, string] => [name, value]));
}
