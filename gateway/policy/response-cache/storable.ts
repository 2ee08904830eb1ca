/** Whether a response may be stored, for how long, and what of its metadata belongs to it rather than to one call. */
import { create } from "@bufbuild/protobuf";
import { HeaderSchema, type Header } from "../../../gen/ts/heddle/gateway/v1/cached_response_pb.ts";
import type { Metadata } from "../../../mesh/rpc/metadata.ts";
import { isReserved } from "../../edge/metadata.ts";
import { directivesIn, seconds } from "./directives.ts";
import { IDENTITY_HEADERS } from "./key.ts";
import type { ReadRule } from "./rules.ts";

/**
 * How long a response is fresh: as the method says, or less if the service says so with `cache-control`. Undefined: it must
 * not be stored, because the service forbids it, because it sets a cookie, or because it depends on a header that is not
 * part of the key.
 */
export function freshnessMs(rule: ReadRule, metadata: Metadata): number | undefined {
  if (metadata.has("set-cookie") || !isKeyed(rule, metadata.get("vary"))) return undefined;
  const header = metadata.get("cache-control");
  if (header === null) return rule.ttlMs;
  const said = directivesIn(header);
  if (said.has("no-store") || said.has("no-cache")) return undefined;
  if (said.has("private") && rule.isPublic) return undefined;
  const least = seconds(said.get("s-maxage")) ?? seconds(said.get("max-age"));
  const ttlMs = Math.min(rule.ttlMs, (least ?? Infinity) * 1000);
  return ttlMs > 0 ? ttlMs : undefined;
}

/** What of a reply's metadata is stored. */
export function keptHeaders(metadata: Metadata): Header[] {
  const kept = [...metadata].filter(([name]) => !isReserved(name) && !ofOneCall.has(name));
  return kept.map(([name, value]) => create(HeaderSchema, { name, value }));
}

const ofOneCall = new Set([
  "age",
  "cache-status",
  "date",
  "server",
  "traceparent",
  "tracestate",
  "x-heddle-db-token",
  "x-request-id",
]);

function isKeyed(rule: ReadRule, vary: string | null): boolean {
  if (vary === null) return true;
  const keyed = new Set(rule.isPublic ? rule.vary : [...IDENTITY_HEADERS, ...rule.vary]);
  return vary.split(",").every((name) => keyed.has(name.trim().toLowerCase()));
}
