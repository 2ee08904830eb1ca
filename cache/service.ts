/** The calls of a node that are no stream: single operations for tools and other languages, and what it holds. */
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type { CacheService } from "../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { Reason } from "../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../mesh/errors.ts";
import { hash53 } from "../mesh/cache/hash.ts";
import { SLOT_COUNT } from "../mesh/cache/slots.ts";
import type { CacheNode } from "./node.ts";
import { warmthOf } from "./warmth.ts";

/** Makes the service of a node with this budget. `Session` is not among it: the port serves it itself. */
export function createCacheService(
  node: CacheNode,
  maxBytes: number,
): Partial<ServiceImpl<typeof CacheService>> {
  return {
    execute({ operation }) {
      return new Promise((resolve, reject) => {
        const { $typeName, ...op } = operation ?? { $typeName: "" };
        if (!("key" in op))
          return reject(rpcError(Code.InvalidArgument, Reason.INVALID_FIELD, `${$typeName} is missing`));
        const numbers = {
          ifVersion: Number(op.ifVersion),
          leaseToken: Number(op.leaseToken),
          minVersion: Number(op.minVersion),
          deadline: Number(op.deadline),
        };
        node.execute({ ...op, ...numbers }, (result) =>
          resolve({
            result: {
              ...result,
              value: Buffer.from(result.value),
              owners: [...result.owners],
              version: BigInt(result.version),
              leaseToken: BigInt(result.leaseToken),
            },
          }),
        );
      });
    },
    invalidateTags: ({ tags, soft }) =>
      new Promise((resolve) => {
        node.invalidate(tags.map(hash53), soft, ({ applied, unreachable }) =>
          resolve({ applied: [...applied], unreachable: [...unreachable] }),
        );
      }),
    getStats: () => statsOf(node, maxBytes),
  };
}

function statsOf(node: CacheNode, maxBytes: number) {
  const { core } = node;
  const ring = core.ring();
  const { isWarm, coldSlots, behind } = warmthOf(node);
  const slots = Array.from({ length: SLOT_COUNT }, (_, slot) => slot);
  const senders = [...core.senders()];
  return {
    node: core.self,
    ringDigest: ring.digest,
    members: ring.members.map(({ id }) => id),
    primarySlots: slots.filter((slot) => ring.place(slot, core.self) === 0).length,
    coldSlots,
    entries: BigInt(core.store.size),
    usedBytes: BigInt(core.store.usedBytes),
    maxBytes: BigInt(maxBytes),
    hits: BigInt(core.counts.hits),
    misses: BigInt(core.counts.misses),
    evicted: BigInt(core.store.counts.evicted),
    expired: BigInt(core.store.counts.expired),
    unackedFrames: BigInt(senders.reduce((sum, { unackedFrames }) => sum + unackedFrames, 0)),
    stale: BigInt(core.counts.stale),
    warm: isWarm,
    behind: [...behind],
    replicationLagMs: Math.round(Math.max(0, ...senders.map(({ lagMs }) => lagMs))),
  };
}
