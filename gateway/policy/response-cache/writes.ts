/**
 * Sends calls of a method with `heddle.gateway.v1.invalidates`, and invalidates before the caller hears of the end, so that
 * whatever he reads next has his change. A call that failed may have had its effect, or have it yet: then the same is done
 * now and once more later.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { hadNoEffect, type Invalidator } from "../../../mesh/cache/invalidator.ts";
import { invalidatedTags } from "../../../mesh/cache/tag-templates.ts";
import type { Call, Reply, Send } from "../../../mesh/rpc/call.ts";
import type { ResponseCacheMetrics } from "./metrics.ts";
import type { WriteRule } from "./rules.ts";

/** Sends a call of a method that invalidates. */
export type InvalidatingWrite = (rule: WriteRule, call: Call, next: Send) => Promise<Reply>;

/** Makes invalidating writes. */
export function createInvalidatingWrites({
  invalidator,
  metrics,
}: {
  readonly invalidator: Pick<Invalidator, "invalidate">;
  readonly metrics: ResponseCacheMetrics;
}): InvalidatingWrite {
  async function invalidate(tags: readonly string[], isUnsure: boolean): Promise<void> {
    metrics.invalidation("write", await invalidator.invalidate(tags, { isUnsure }));
  }
  return async (rule, call, next) => {
    let reply: Reply;
    try {
      reply = await next(call);
    } catch (error) {
      if (!hadNoEffect(error)) await invalidate(tagsOf(rule, call, undefined), true);
      throw error;
    }
    await invalidate(tagsOf(rule, call, reply.message), false);
    return reply;
  };
}

/** What cannot be decoded gives no tags but the listing ones. */
function tagsOf(rule: WriteRule, { request }: Call, reply: Uint8Array | undefined): string[] {
  try {
    const message = fromBinary(rule.input, request as Uint8Array);
    const response = reply === undefined ? undefined : fromBinary(rule.output, reply);
    return invalidatedTags(rule.tags, message, response);
  } catch {
    return rule.tags.map(({ listing }) => listing);
  }
}
