/** Purging cached responses by tag: `CacheAdminService` on the control port, and `POST /cache:purge` on the admin port. */
import { create, fromJson, toJson, type JsonValue } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  PurgeTagsRequestSchema,
  PurgeTagsResponseSchema,
  type CacheAdminService,
  type PurgeTagsRequest,
  type PurgeTagsResponse,
} from "../../gen/ts/heddle/gateway/v1/cache_admin_service_pb.ts";
import { invalidArgument, messageOf } from "../../mesh/errors.ts";
import type { Logger } from "../../mesh/observe/log.ts";
import type { ResponseCache } from "../policy/response-cache/response-cache.ts";
import type { RouteTable } from "../routes/types.ts";

/** What purging needs. */
export interface CacheAdminOptions {
  readonly responses: Pick<ResponseCache, "purge">;
  readonly table: () => RouteTable;
  readonly log: Logger;
}

/** Both forms of it. */
export interface CacheAdmin {
  readonly service: ServiceImpl<typeof CacheAdminService>;
  /** Takes and gives the JSON of the same messages; rejects what is none with INVALID_ARGUMENT. */
  readonly purge: (body: unknown) => Promise<unknown>;
}

const MOST_TAGS = 500;

/** Makes it. */
export function createCacheAdmin({ responses, table, log }: CacheAdminOptions): CacheAdmin {
  async function purgeTags({ tags, soft }: PurgeTagsRequest): Promise<PurgeTagsResponse> {
    const complete = await responses.purge(withListings(tags, table()), soft);
    log.info({ tags, soft, complete }, "cached responses were purged");
    return create(PurgeTagsResponseSchema, { complete });
  }
  return {
    service: { purgeTags },
    async purge(body) {
      const request = requestIn(body);
      return toJson(PurgeTagsResponseSchema, await purgeTags(request), { alwaysEmitImplicit: true });
    },
  };
}

/** With the tags that stand for them in responses that have too many. */
export function withListings(tags: readonly string[], { methods }: Pick<RouteTable, "methods">): string[] {
  const templates = [...methods.values()].flatMap(({ caching }) => caching?.read?.tags ?? []);
  const listings = templates
    .filter((template) => tags.some((tag) => template.gives(tag)))
    .map(({ listing }) => listing);
  return [...new Set([...tags, ...listings])];
}

function requestIn(body: unknown): PurgeTagsRequest {
  let request: PurgeTagsRequest;
  try {
    request = fromJson(PurgeTagsRequestSchema, body as JsonValue);
  } catch (error) {
    throw invalidArgument({ field: "", description: messageOf(error) });
  }
  if (request.tags.length === 0 || request.tags.length > MOST_TAGS)
    throw invalidArgument({ field: "tags", description: `there must be from 1 to ${MOST_TAGS} tags` });
  return request;
}
