import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { OrderState, OrderSchema } from "../../gen/ts/shop/order/v1/order_pb.ts";
import {
  ListOrdersRequestSchema,
  ListOrdersResponseSchema,
} from "../../gen/ts/shop/order/v1/order_service_pb.ts";
import { compileTag, entryTags, invalidatedTags, MAX_TAGS, type TagTemplate } from "./tag-templates.ts";

const input = ListOrdersRequestSchema;
const output = ListOrdersResponseSchema;
const request = create(input, { consumerId: "anna", pageSize: 7 });

function template(source: string): TagTemplate {
  const compiled = compileTag(source, input, output);
  if (typeof compiled === "string") throw new TypeError(compiled);
  return compiled;
}

function response(count: number) {
  const orders = Array.from({ length: count }, (_, index) =>
    create(OrderSchema, {
      orderId: `o${index}`,
      state: OrderState.APPROVED,
      lines: [
        { sku: "a", quantity: 1 },
        { sku: "b", quantity: 2 },
      ],
      createTime: { seconds: 1n },
    }),
  );
  return create(output, { orders });
}

describe("tags of a template", () => {
  test.each([
    ["orders", ["orders"]],
    ["orders:{consumer_id}", ["orders:anna"]],
    ["page:{page_size}:{consumer_id}", ["page:7:anna"]],
    ["order:{orders.order_id}", ["order:o0", "order:o1"]],
    ["state:{orders.state}", ["state:ORDER_STATE_APPROVED", "state:ORDER_STATE_APPROVED"]],
    ["line:{orders.lines.sku}", ["line:a", "line:b", "line:a", "line:b"]],
    ["at:{orders.create_time.seconds}", ["at:1", "at:1"]],
    ["at:{orders.update_time.seconds}", []],
    ["next:{next_page_token}", ["next:"]],
  ])("%s", (source, tags) => expect(template(source).tags(request, response(2))).toEqual(tags));

  test("need no response where the request has the field", () => {
    expect(template("orders:{consumer_id}").tags(request, undefined)).toEqual(["orders:anna"]);
    expect(template("order:{orders.order_id}").tags(request, undefined)).toEqual([]);
  });

  test.each([
    ["", /1 to 256/],
    ["x".repeat(257), /1 to 256/],
    ["order:{order_id}", /neither the request nor the response/],
    ["order:{orders}", /neither text, number, bool nor enum/],
    ["order:{}", /neither the request/],
    ["order:{consumer_id", /without its other one/],
    ["order:consumer_id}", /without its other one/],
    ["order:*", /or a \*/],
  ])("%s is refused", (source, problem) => expect(compileTag(source, input, output)).toMatch(problem));

  test("are recognised", () => {
    const order = template("order:{orders.order_id}.x");
    expect(["order:1.x", "order:.x", "order:1x", "other:1.x"].map((tag) => order.gives(tag))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});

describe("entryTags", () => {
  const templates = [
    template("orders"),
    template("order:{orders.order_id}"),
    template("line:{orders.lines.sku}"),
  ];

  test("are all of them, once, while there is room", () => {
    expect(entryTags(templates, request, response(2))).toEqual([
      "orders",
      "order:o0",
      "order:o1",
      "line:a",
      "line:b",
    ]);
    expect(entryTags(templates, request, response(5))).toHaveLength(MAX_TAGS);
  });

  test("have the listing tag in place of too many", () => {
    expect(entryTags(templates, request, response(6))).toEqual(["orders", "order:*", "line:a", "line:b"]);
  });

  test("are always hit by an invalidation of one of those that they replace", () => {
    const write = compileTag("order:{consumer_id}", input, output) as TagTemplate;
    for (const count of [1, 6, 500]) {
      const tags = entryTags(templates, request, response(count));
      const invalidated = invalidatedTags([write], create(input, { consumerId: "o0" }), undefined);
      expect(tags.some((tag) => invalidated.includes(tag))).toBe(true);
    }
  });
});

test("a call whose response is not known invalidates what can be known", () => {
  const templates = [
    template("orders:{consumer_id}"),
    template("order:{orders.order_id}"),
    template("orders"),
  ];
  expect(invalidatedTags(templates, request, undefined)).toEqual([
    "orders:*",
    "orders:anna",
    "order:*",
    "orders",
  ]);
});
