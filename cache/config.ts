/** What the configuration of a node comes to, and the rules of it that its schema cannot say. */
import { create } from "@bufbuild/protobuf";
import { CacheNamespaceSchema, type Cache } from "../gen/ts/heddle/config/v1/config_pb.ts";
import { durationMs, type Config } from "../mesh/config.ts";
import type { AckLevel } from "./namespaces.ts";
import { TOMBSTONE_MS } from "./writes.ts";

/** A node's settings with all defaults. */
export interface CacheSettings {
  readonly maxBytes: number;
  readonly replicas: number;
  readonly namespaces: readonly NamespaceSettings[];
}

/** A namespace's settings with all defaults. */
export interface NamespaceSettings {
  readonly name: string;
  readonly ack: AckLevel;
  /** 0: it shares what the others leave. */
  readonly maxBytes: number;
  readonly tombstoneMs: number;
}

const DEFAULT_MAX_BYTES = 256 * 1024 * 1024;
const DEFAULT_REPLICAS = 2;

/** The settings of a node. */
export function cacheSettings(config: Cache | undefined): CacheSettings {
  const named = config?.namespaces ?? [];
  const all = named.length === 0 ? [create(CacheNamespaceSchema, { name: "default" })] : named;
  return {
    maxBytes: Number(config?.maxBytes ?? 0n) || DEFAULT_MAX_BYTES,
    replicas: config?.replicas || DEFAULT_REPLICAS,
    namespaces: all.map(({ name, ack, maxBytes, tombstoneTtl }) => ({
      name,
      ack: (ack || "two") as AckLevel,
      maxBytes: Number(maxBytes),
      tombstoneMs: durationMs(tombstoneTtl, TOMBSTONE_MS),
    })),
  };
}

/** What is wrong with a node's configuration beyond its schema, one sentence each. */
export function cacheProblems({ cache, registry }: Config): string[] {
  const { maxBytes, namespaces } = cacheSettings(cache);
  const problems: string[] = [];
  const first = new Map<string, number>();
  for (const [index, { name }] of namespaces.entries()) {
    const at = `cache.namespaces[${index}]`;
    const before = first.get(name);
    if (before !== undefined)
      problems.push(`${at}.name: "${name}" is the name of cache.namespaces[${before}] too`);
    else first.set(name, index);
  }
  const reserved = namespaces.reduce((sum, namespace) => sum + namespace.maxBytes, 0);
  const sharing = namespaces.find((namespace) => namespace.maxBytes === 0);
  if (reserved > maxBytes)
    problems.push(`cache.namespaces: their max_bytes add up to ${reserved}; cache.max_bytes is ${maxBytes}`);
  else if (sharing !== undefined && reserved === maxBytes)
    problems.push(
      `cache.namespaces: max_bytes of the others leaves nothing of cache.max_bytes for "${sharing.name}"`,
    );
  if ((cache?.members.length ?? 0) > 0 && (registry?.endpoints.length ?? 0) > 0)
    problems.push("cache.members: registry.endpoints names the members already; give one of the two");
  return problems;
}
