/** `npm run heddle -- cache …`: looks into the cache tier of a running stack, and changes it by hand. */
import { parseArgs } from "node:util";
import { createClient } from "@connectrpc/connect";
import { CacheService, OperationKind, Status } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { CACHE_SERVICE, membershipOf } from "../../mesh/cache/members.ts";
import { unpack } from "../../mesh/cache/compress.ts";
import { operation } from "../../mesh/cache/session-codec.ts";
import { SLOT_COUNT, slotOf } from "../../mesh/cache/slots.ts";
import { createCacheTier } from "../../mesh/cache/tier.ts";
import type { Resolver } from "../../mesh/registry/instances.ts";
import { createResolver } from "../../mesh/registry/resolver.ts";
import { createStaticResolver } from "../../mesh/registry/static-resolver.ts";
import { createChannel } from "../../mesh/rpc/channel.ts";
import { createTransport } from "../../mesh/rpc/transport.ts";
import { runningStack } from "../local/state.ts";

/** Where gateways listen, unless configured. */
const DEFAULT_REGISTRY = "127.0.0.1:7070,127.0.0.1:7071";

/** How it is called. */
export const CACHE_USAGE = `usage: npm run heddle -- cache COMMAND [--registry ADDRESSES] [--nodes ADDRESSES]
  ring                          who owns how much
  stats                         what each node holds and does
  get NAMESPACE KEY             a value, and where it lies
  invalidate NAMESPACE TAG...   makes all entries with a tag invalid
Addresses are host:port, separated by commas. Default registry: that of the stack that runs here, else
${DEFAULT_REGISTRY}.`;

const TIMEOUT_MS = 2000;
const EXIT_USAGE = 64;

/** Runs a command; resolves with the exit status. */
export async function cacheCommand(args: readonly string[], print: (line: string) => void): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      registry: { type: "string", default: runningRegistry() ?? DEFAULT_REGISTRY },
      nodes: { type: "string" },
    },
  });
  const [command = "", ...rest] = positionals;
  const resolver =
    values.nodes === undefined
      ? createResolver({ endpoints: values.registry.split(",") })
      : createStaticResolver(values.nodes.split(","));
  try {
    await resolver.ready(CACHE_SERVICE, AbortSignal.timeout(TIMEOUT_MS));
    if (command === "ring") return showRing(resolver, print);
    if (command === "stats") return await showStats(resolver, print);
    if (command === "get" && rest.length === 2)
      return await showEntry(resolver, rest[0] ?? "", rest[1] ?? "", print);
    if (command === "invalidate" && rest.length >= 2) return await invalidate(resolver, rest, print);
    print(CACHE_USAGE);
    return EXIT_USAGE;
  } finally {
    await resolver.close();
  }
}

function ringOf(resolver: Resolver) {
  return membershipOf(resolver.watch(CACHE_SERVICE).serving(), 2).ring;
}

/** The control addresses of the stack that `npm start` has started here, if it runs. */
function runningRegistry(): string | undefined {
  const controls = runningStack(".heddle")?.processes.flatMap(({ addresses: { control } }) => control ?? []);
  return controls === undefined || controls.length === 0 ? undefined : controls.join(",");
}

function showRing(resolver: Resolver, print: (line: string) => void): number {
  const ring = ringOf(resolver);
  print(`ring ${ring.digest}, ${ring.members.length} nodes, ${SLOT_COUNT} slots, ${ring.replicas} copies`);
  const slots = Array.from({ length: SLOT_COUNT }, (_, slot) => slot);
  for (const { id, zone, weight } of ring.members) {
    const primary = slots.filter((slot) => ring.place(slot, id) === 0).length;
    const replica = slots.filter((slot) => ring.place(slot, id) === 1).length;
    print(`  ${id}  zone ${zone || "-"}  weight ${weight}  primary of ${primary}, replica of ${replica}`);
  }
  return 0;
}

async function showStats(resolver: Resolver, print: (line: string) => void): Promise<number> {
  let status = 0;
  for (const { id } of ringOf(resolver).members) {
    const channel = createChannel({ resolver: createStaticResolver([id]) });
    try {
      const stats = await createClient(
        CacheService,
        createTransport(channel, { timeoutMs: TIMEOUT_MS }),
      ).getStats({});
      const share = (100 * Number(stats.hits)) / Math.max(1, Number(stats.hits + stats.misses));
      print(
        `${id}  ${stats.entries} entries, ${mebi(stats.usedBytes)} of ${mebi(stats.maxBytes)} MiB, ` +
          `${share.toFixed(1)} % hits, ${stats.evicted} evicted, ${stats.warm ? "warm" : `${stats.coldSlots} cold slots`}, ring ${stats.ringDigest}`,
      );
    } catch (error) {
      print(`${id}  ${(error as Error).message}`);
      status = 1;
    } finally {
      await channel.close();
    }
  }
  return status;
}

async function showEntry(
  resolver: Resolver,
  namespace: string,
  key: string,
  print: (line: string) => void,
): Promise<number> {
  const tier = createCacheTier({ resolver });
  const bytes = Buffer.from(`${namespace}:${key}`, "utf8");
  const found = await tier.execute(
    operation({ kind: OperationKind.GET, key: bytes, stale: true }),
    TIMEOUT_MS,
  );
  await tier.close();
  const slot = slotOf(bytes);
  print(`slot ${slot}, owners ${ringOf(resolver).owners(slot).slice(0, 2).join(", ")}`);
  if (found.status !== Status.OK && found.status !== Status.STALE) {
    print(found.status === Status.MISS ? "not there" : `no answer: ${found.message}`);
    return 1;
  }
  print(
    `version ${found.version}, ${found.status === Status.STALE ? "stale" : "fresh"}, ${found.value.length} bytes stored`,
  );
  print(Buffer.from(unpack(found) ?? found.value).toString("utf8"));
  return 0;
}

async function invalidate(
  resolver: Resolver,
  [namespace, ...tags]: readonly string[],
  print: (line: string) => void,
): Promise<number> {
  const tier = createCacheTier({ resolver });
  const op = operation({ kind: OperationKind.INVALIDATE, key: Buffer.from(`${namespace}:`), tags });
  const answer = await tier.execute(op, TIMEOUT_MS);
  await tier.close();
  print(`${answer.copies} nodes have applied it`);
  if (answer.status === Status.OK) return 0;
  print(answer.message || `not told yet: ${answer.owners.join(", ")}`);
  return 1;
}

function mebi(bytes: bigint): string {
  return (Number(bytes) / 1024 / 1024).toFixed(1);
}
