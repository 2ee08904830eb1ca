/**
 * For services whose responses the gateway caches: a call of a method with `heddle.gateway.v1.invalidates` invalidates before
 * it is answered, whoever calls: a saga's worker does not come through the gateway. In a `main.ts`:
 *
 *     const invalidation = createInvalidation(mesh);
 *     await serve(mesh, { services, interceptors: [invalidation.interceptor], stop: () => invalidation.close() });
 */
import { getOption, hasOption, type DescMethod, type Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { Counter } from "prom-client";
import { invalidates } from "../../gen/ts/heddle/gateway/v1/options_pb.ts";
import { systemClock } from "../clock.ts";
import type { Mesh } from "../mesh.ts";
import { createCache } from "./client.ts";
import { createInvalidator, hadNoEffect } from "./invalidator.ts";
import { CACHE_SERVICE } from "./members.ts";
import { compileTag, invalidatedTags, type TagTemplate } from "./tag-templates.ts";
import { createCacheTier } from "./tier.ts";

/** Invalidates cached responses for a service. */
export interface Invalidation {
  /** For the server; outermost. */
  readonly interceptor: Interceptor;
  /** For changes that no call made, such as those that a message led to. Resolves within the bound; never rejects. */
  invalidate(tags: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** The namespace in which the gateway caches responses. */
export const RESPONSES = "responses";

/** How long a call waits for the tier. */
const TIMEOUT_MS = 250;

/** Makes it. Nothing is dialled before it is needed, and nothing is done while no node of the tier is known. */
export function createInvalidation(mesh: Pick<Mesh, "resolver" | "log" | "metrics">): Invalidation {
  const { resolver, log } = mesh;
  const counter = new Counter({
    name: "mesh_response_invalidations_total",
    help: "Invalidations of responses that gateways cache: pending ones are not known to all cache nodes yet.",
    labelNames: ["outcome"],
    registers: [mesh.metrics.registry],
  });
  const nodes = resolver.watch(CACHE_SERVICE);
  const tier = createCacheTier({ resolver });
  const cache = createCache({ tier, namespace: RESPONSES, writeTimeoutMs: TIMEOUT_MS });
  const hasNodes = () => nodes.serving().length > 0;
  const invalidator = createInvalidator({ cache, hasNodes, clock: systemClock, log });

  async function invalidate(tags: readonly string[], isUnsure: boolean): Promise<void> {
    counter.inc({ outcome: await invalidator.invalidate(tags, { isUnsure }) });
  }

  return {
    interceptor: (next) => async (request) => {
      const templates = templatesOf(request.method);
      if (templates === undefined || request.stream) return next(request);
      const tags = (reply: Message | undefined) => invalidatedTags(templates, request.message, reply);
      try {
        const response = await next(request);
        await invalidate(tags(response.stream ? undefined : response.message), false);
        return response;
      } catch (error) {
        if (!hadNoEffect(error)) await invalidate(tags(undefined), true);
        throw error;
      }
    },
    invalidate: (tags) => invalidate(tags, false),
    close() {
      invalidator.close();
      return tier.close();
    },
  };
}

const compiled = new WeakMap<DescMethod, readonly TagTemplate[] | undefined>();

/**
 * The templates of a method; undefined if it invalidates nothing.
 *
 * @throws TypeError for a template that does not fit the method.
 */
export function templatesOf(method: DescMethod): readonly TagTemplate[] | undefined {
  if (compiled.has(method)) return compiled.get(method);
  const templates = hasOption(method, invalidates)
    ? getOption(method, invalidates).tags.map((tag) => fitting(tag, method))
    : undefined;
  compiled.set(method, templates);
  return templates;
}

function fitting(tag: string, method: DescMethod): TagTemplate {
  const template = compileTag(tag, method.input, method.output);
  if (typeof template === "string")
    throw new TypeError(`${method.parent.typeName}.${method.name}: ${template}`);
  return template;
}
