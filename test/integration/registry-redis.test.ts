import { afterAll } from "vitest";
import { ulid } from "ulid";
import { describeStore, realTime } from "../../gateway/registry/stores/conformance.ts";
import { createRedisStore } from "../../gateway/registry/stores/redis.ts";
import { startRedis } from "./redis-server.ts";

const redis = await startRedis();
afterAll(() => redis.kill());

describeStore("the Redis store", {
  make: (options) => Promise.resolve(createRedisStore({ ...options, url: redis.url, keyPrefix: ulid() })),
  pass: realTime,
});
