import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ResourceInfoSchema } from "../gen/ts/google/rpc/error_details_pb.ts";
import { errorInfo, retryAfterMs } from "./errors.ts";
import { alreadyExists, notFound, wrongState } from "./resources.ts";

const order = { type: "shop.order.v1.Order", name: "01J" };

describe("errors about resources", () => {
  test.each([
    [notFound(order), Code.NotFound, "RESOURCE_NOT_FOUND", 'order "01J" does not exist'],
    [alreadyExists(order), Code.AlreadyExists, "RESOURCE_EXISTS", 'order "01J" exists already'],
    [wrongState(order, "is final"), Code.FailedPrecondition, "WRONG_STATE", 'order "01J" is final'],
  ])("%s", (error, code, reason, message) => {
    expect(error.code).toBe(code);
    expect(error.rawMessage).toBe(message);
    expect(errorInfo(error)?.reason).toBe(reason);
    expect(error.findDetails(ResourceInfoSchema)[0]).toMatchObject({
      resourceType: "shop.order.v1.Order",
      resourceName: "01J",
    });
  });

  test("may say when to come back", () => {
    expect(retryAfterMs(wrongState(order, "is busy", { retryAfterMs: 500 }))).toBe(500);
  });
});
