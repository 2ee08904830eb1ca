/** Tells whether two requests say the same, whatever came between them: a restart, another version of the schema. */
import { createHash } from "node:crypto";
import type { Message } from "@bufbuild/protobuf";

/**
 * SHA-256 of what a message says. Fields that have their default value do not count, as on the wire, so that a field which
 * is new in the schema changes nothing for callers that do not set it.
 */
export function fingerprint(message: Message): Uint8Array {
  return createHash("sha256")
    .update(JSON.stringify(canonical(message)) ?? "")
    .digest();
}

function canonical(value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value)
    .filter(([name, field]) => !name.startsWith("$") && !isDefault(field))
    .map(([name, field]) => [name, canonical(field)])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
}

function isDefault(value: unknown): boolean {
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length === 0;
  return value === undefined || value === "" || value === 0 || value === 0n || value === false;
}
