import { expect, test } from "vitest";
import { parseTarget } from "./target.ts";

test.each([
  ["heddle:///shop.order.v1.OrderService", { service: "shop.order.v1.OrderService" }],
  ["127.0.0.1:7101", { address: "127.0.0.1:7101" }],
  ["[::1]:7101", { address: "[::1]:7101" }],
  ["order.internal:7101", { address: "order.internal:7101" }],
])("reads %s", (target, parsed) => {
  expect(parseTarget(target)).toEqual(parsed);
});

test.each([
  "",
  "localhost",
  "http://127.0.0.1:7101",
  "heddle://gateway/shop.order.v1.OrderService",
  "heddle:///OrderService",
  "heddle:///shop.order.v1.",
  "heddle:///shop.order.v1.OrderService/GetOrder",
  "127.0.0.1:",
])("refuses %j", (target) => {
  expect(() => parseTarget(target)).toThrow(TypeError);
});
