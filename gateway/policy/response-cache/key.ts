/**
 * The key of a cached response: method, canonical request, headers that the response depends on, and, unless it is public,
 * who asks. Requests that mean the same have the same key, whatever protocol they came by.
 */
import { createHash } from "node:crypto";
import { toBinary, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import type { MethodInfo } from "../../../mesh/rpc/call.ts";
import type { Metadata } from "../../../mesh/rpc/metadata.ts";
import { withoutTokenCookies } from "../../edge/token-cookies.ts";
import type { ReadRule } from "./rules.ts";

/** Request headers that say who asks. */
export const IDENTITY_HEADERS: readonly string[] = ["authorization", "cookie", "x-api-key"];

/** Long names are cut: the hash has the whole. */
const MAX_NAME = 200;

/** The key of a call. `request` is its decoded message. */
export function keyOf(rule: ReadRule, method: MethodInfo, request: Message, metadata: Metadata): string {
  const hash = createHash("sha256");
  const names = rule.isPublic ? rule.vary : [...IDENTITY_HEADERS, ...rule.vary];
  const headers = names.map((name) => [name, valueOf(name, metadata)]);
  hash.update(JSON.stringify([method.path, rule.isPublic, headers]));
  hash.update("\0");
  hash.update(canonicalBytes(rule.input, request));
  return `${method.path.slice(1, MAX_NAME)}:${hash.digest("base64url")}`;
}

/** The bytes of a message, the same for all messages that say the same: fields and map entries in order. */
export function canonicalBytes(desc: DescMessage, message: Message): Uint8Array {
  if (hasMaps(desc)) sortMaps(reflect(desc, message));
  return toBinary(desc, message);
}

/** Tokens change with every write and say nothing about who asks. */
function valueOf(name: string, metadata: Metadata): string | null {
  const value = metadata.get(name);
  return name === "cookie" && value !== null ? withoutTokenCookies(value) : value;
}

const known = new WeakMap<DescMessage, boolean>();

function hasMaps(desc: DescMessage): boolean {
  let result = known.get(desc);
  if (result === undefined) known.set(desc, (result = holdsMap(desc, new Set())));
  return result;
}

function holdsMap(desc: DescMessage, seen: Set<DescMessage>): boolean {
  if (seen.has(desc)) return false;
  seen.add(desc);
  return desc.fields.some(
    (field) => field.fieldKind === "map" || (field.message !== undefined && holdsMap(field.message, seen)),
  );
}

function sortMaps(message: ReflectMessage): void {
  for (const field of message.fields) if (message.isSet(field)) sortField(message, field);
}

function sortField(message: ReflectMessage, field: DescField): void {
  if (field.fieldKind === "map") {
    const map = message.get(field);
    const entries = [...map].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
    map.clear();
    for (const [key, value] of entries) {
      if (field.mapKind === "message") sortMaps(value as ReflectMessage);
      map.set(key, value);
    }
  } else if (field.fieldKind === "list" && field.listKind === "message") {
    const list = message.get(field);
    for (const [index, item] of [...list].entries()) {
      sortMaps(item as ReflectMessage);
      list.set(index, item);
    }
  } else if (field.fieldKind === "message") {
    const inner = message.get(field);
    sortMaps(inner);
    // Some messages, such as google.protobuf.Struct, are given out as copies.
    message.set(field, inner);
  }
}
