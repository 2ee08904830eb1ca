import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type UnaryRequest, type UnaryResponse } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { OrderService } from "../../gen/ts/shop/order/v1/order_service_pb.ts";
import {
  CatalogService,
  WriteItemRequestSchema,
  WriteItemResponseSchema,
} from "../../gen/ts/heddle/testing/v1/catalog_service_pb.ts";
import { silentLog } from "../observe/log.ts";
import { createMetrics } from "../observe/metrics.ts";
import { createStaticResolver } from "../registry/static-resolver.ts";
import { createInvalidation, templatesOf } from "./invalidation.ts";

/** A service whose calls end as told; what the tier is told shows as metrics only, for there is no tier. */
function make() {
  const metrics = createMetrics({ process: false });
  const invalidation = createInvalidation({ resolver: createStaticResolver([]), log: silentLog, metrics });
  const count = async () => {
    const { values } = await metrics.registry.getSingleMetric("mesh_response_invalidations_total")!.get();
    return values.find(({ labels }) => labels["outcome"] === "no_nodes")?.value ?? 0;
  };
  const call = (method: UnaryRequest["method"], end: () => Promise<unknown>) => {
    const request = { stream: false, method, message: create(WriteItemRequestSchema, { id: "1" }) };
    const next = async () => {
      await end();
      return { stream: false, message: create(WriteItemResponseSchema) } as unknown as UnaryResponse;
    };
    return invalidation.interceptor(next)(request as unknown as UnaryRequest);
  };
  return { invalidation, count, call };
}

const { writeItem, readItem } = CatalogService.method;

describe("the interceptor of a service", () => {
  test.each<[string, UnaryRequest["method"], () => Promise<unknown>, number]>([
    ["a write", writeItem, () => Promise.resolve(), 1],
    ["a write of unknown outcome", writeItem, () => Promise.reject(new ConnectError("", Code.Unknown)), 1],
    ["a write that broke", writeItem, () => Promise.reject(new Error("broken")), 1],
    ["a write that was refused", writeItem, () => Promise.reject(new ConnectError("", Code.NotFound)), 0],
    ["a read", readItem, () => Promise.resolve(), 0],
  ])("invalidates after %s as it should", async (_what, method, end, expected) => {
    const { call, count, invalidation } = make();
    await call(method, end).catch(() => undefined);
    expect(await count()).toBe(expected);
    await invalidation.close();
  });

  test("lets a service invalidate by itself, without any tier", async () => {
    const { invalidation, count } = make();
    await invalidation.invalidate(["orders"]);
    expect(await count()).toBe(1);
    await invalidation.close();
  });
});

test("templates are those of the .proto", () => {
  const sources = templatesOf(OrderService.method.cancelOrder)?.map(({ source }) => source);
  expect(sources).toEqual(["order:{order_id}"]);
  expect(templatesOf(OrderService.method.getOrder)).toBeUndefined();
});
