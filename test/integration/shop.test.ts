/** The shop, as a REST client sees it: real services, saga, databases and gateway. */
import { createClient } from "@connectrpc/connect";
import { Connection, WorkflowClient } from "@temporalio/client";
import { createConnection } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { AccountingParticipantService } from "../../gen/ts/shop/accounting/v1/participant_service_pb.ts";
import { membersOf } from "../../infra/mysql/folder.ts";
import { hasReason } from "../../mesh/errors.ts";
import { createChannel, type Channel } from "../../mesh/rpc/channel.ts";
import { createTransport } from "../../mesh/rpc/transport.ts";
import {
  createStackPlace,
  launch,
  stopLauncher,
  type LaunchedStack,
  type StackPlace,
} from "../support/launched-stack.ts";
import { createShop, watch, type Json, type Shop } from "../support/shop.ts";
import { invariants, violations } from "./invariants.ts";

let place: StackPlace;
let stack: LaunchedStack;
let shop: Shop;
let socket: string;

beforeAll(async () => {
  place = await createStackPlace({ profile: "small" });
  stack = await launch(place);
  shop = createShop(place.url);
  socket = membersOf(`${place.folder}/data/mysql`, [place.ports.mysql])[0]!.socket;
});

afterAll(async () => {
  if (stack !== undefined) await stopLauncher(stack);
  place?.remove();
});

const pizza = [{ sku: "margherita", quantity: 2 }];
const PIZZA_CENTS = 1780;

describe("an order", () => {
  test("is approved: stock sold, money held, ticket with the kitchen, workflow done", async () => {
    const consumer = await shop.consumer({ balanceCents: 5000 });
    const before = await shop.product("margherita");
    const orderId = await shop.order(consumer, pizza);
    expect(await shop.settled(orderId)).toEqual({ state: "APPROVED", reason: "" });

    const after = await shop.product("margherita");
    expect(after).toEqual({ onHand: before.onHand - 2, reserved: before.reserved, sold: before.sold + 2 });
    expect(await shop.account(consumer)).toEqual({
      balance: 5000 - PIZZA_CENTS,
      held: PIZZA_CENTS,
      captured: 0,
    });
    expect(await shop.ticket(orderId)).toBe("AWAITING_ACCEPTANCE");
    expect(await workflow(`create-order/${orderId}`)).toEqual({
      status: "COMPLETED",
      memo: { orderId, consumerId: consumer },
    });
  });

  test.each<[reason: string, order: () => Promise<string>, ticket: string | undefined]>([
    ["CONSUMER_NOT_FOUND", () => shop.order("nobody", pizza), undefined],
    [
      "ORDER_LIMIT_EXCEEDED",
      async () => shop.order(await shop.consumer({ limitCents: 1779 }), pizza),
      undefined,
    ],
    [
      "OUT_OF_STOCK",
      async () => shop.order(await shop.consumer(), [...pizza, { sku: "truffle", quantity: 4 }]),
      undefined,
    ],
    ["KITCHEN_NOT_FOUND", async () => shop.order(await shop.consumer(), pizza, "nowhere"), undefined],
    ["KITCHEN_CLOSED", async () => shop.order(await shop.consumer(), pizza, "night"), undefined],
    ["KITCHEN_FULL", fullKitchen, undefined],
    [
      "CARD_DECLINED",
      async () => shop.order(await shop.consumer({ balanceCents: PIZZA_CENTS - 1 }), pizza),
      "CREATE_REJECTED",
    ],
    ["ACCOUNT_DISABLED", disabledAccount, "CREATE_REJECTED"],
    ["ACCOUNT_NOT_FOUND", withoutAccount, "CREATE_REJECTED"],
  ])("that meets %s is rejected, and everything is undone", async (reason, place, ticket) => {
    const before = await shop.product("margherita");
    const orderId = await place();
    expect(await shop.settled(orderId)).toEqual({ state: "REJECTED", reason });
    expect(await shop.product("margherita")).toEqual(before);
    expect(await shop.ticket(orderId)).toBe(ticket);
  });

  async function fullKitchen(): Promise<string> {
    await shop.call("/v1/kitchens/tiny", { capacity: 0 }, { method: "PATCH" });
    return shop.order(await shop.consumer(), pizza, "tiny");
  }

  async function disabledAccount(): Promise<string> {
    const consumer = await shop.consumer();
    await shop.call(`/v1/accounts/${consumer}`, { disabled: true }, { method: "PATCH" });
    return shop.order(consumer, pizza);
  }

  async function withoutAccount(): Promise<string> {
    await shop.call("/v1/consumers", { consumerId: "penniless", name: "Penniless" });
    return shop.order("penniless", pizza);
  }
});

describe("Idempotency-Key", () => {
  test("makes copies of a call one order, with one answer", async () => {
    const consumerId = await shop.consumer();
    const headers = { "idempotency-key": `order-of-${consumerId}` };
    const copies = await Promise.all(
      Array.from({ length: 8 }, () => shop.call("/v1/orders", { consumerId, lines: pizza }, { headers })),
    );
    const answered = copies.filter(({ status }) => status === 200);
    // One that came while the first was still running is told so, and may come back.
    for (const { status, body } of copies) expect([200, 409], JSON.stringify(body)).toContain(status);
    expect(new Set(answered.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    const { body } = await shop.call(`/v1/orders?consumerId=${consumerId}`);
    expect(body["orders"]).toHaveLength(1);

    const other = await shop.call(
      "/v1/orders",
      { consumerId, lines: [{ sku: "cola", quantity: 1 }] },
      { headers },
    );
    expect(other).toMatchObject({ status: 400, body: { details: [{ reason: "IDEMPOTENCY_KEY_REUSED" }] } });
    expect(await shop.settled(String(answered[0]!.body["orderId"]))).toMatchObject({ state: "APPROVED" });
  });

  test("makes a deposit once", async () => {
    const id = await shop.consumer({ balanceCents: 0 });
    const headers = { "idempotency-key": `deposit-of-${id}` };
    const pay = () => shop.call(`/v1/accounts/${id}:deposit`, { amountCents: 700 }, { headers });
    const [first, second] = [await pay(), await pay()];
    expect(first).toMatchObject({ status: 200, body: { balanceCents: "700" } });
    expect(second).toEqual(first);
    expect(await shop.account(id)).toEqual({ balance: 700, held: 0, captured: 0 });
  });

  test("must be printable", async () => {
    const answer = await shop.call(
      "/v1/orders",
      { consumerId: "ada", lines: pizza },
      { headers: { "idempotency-key": "a b" } },
    );
    expect(answer.status).toBe(400);
  });
});

describe("cancelling", () => {
  test("gives money and stock back once, and withdraws the ticket", async () => {
    const consumer = await shop.consumer({ balanceCents: 5000 });
    const before = await shop.product("margherita");
    const orderId = await shop.order(consumer, pizza);
    await shop.settled(orderId);
    const answer = await shop.call(`/v1/orders/${orderId}:cancel`, {});
    expect(answer).toMatchObject({ status: 200, body: { state: "ORDER_STATE_CANCEL_PENDING", sequence: 3 } });
    expect(await shop.settled(orderId)).toEqual({ state: "CANCELLED", reason: "" });
    expect(await shop.product("margherita")).toEqual(before);
    expect(await shop.account(consumer)).toEqual({ balance: 5000, held: 0, captured: 0 });
    expect(await shop.ticket(orderId)).toBe("CANCELLED");

    const again = await shop.call(`/v1/orders/${orderId}/cancel`, {});
    expect(again).toMatchObject({ status: 200, body: { state: "ORDER_STATE_CANCELLED", sequence: 4 } });
  });

  test("is refused once the kitchen cooks: the order stays approved, with the reason", async () => {
    const consumer = await shop.consumer({ balanceCents: 5000 });
    const orderId = await shop.order(consumer, pizza);
    await shop.settled(orderId);
    for (const verb of ["accept", "startPreparing"]) {
      expect(await shop.call(`/v1/tickets/${orderId}:${verb}`, {})).toMatchObject({ status: 200 });
    }
    await shop.call(`/v1/orders/${orderId}:cancel`, {});
    expect(await shop.settled(orderId)).toEqual({ state: "APPROVED", reason: "TICKET_IN_PREPARATION" });
    expect(await shop.ticket(orderId)).toBe("PREPARING");
    expect(await shop.account(consumer)).toMatchObject({ held: PIZZA_CENTS });
    expect(await shop.call(`/v1/tickets/${orderId}:markReady`, {})).toMatchObject({
      body: { state: "TICKET_STATE_READY" },
    });
  });

  test("needs an order that is approved", async () => {
    const orderId = await shop.order("nobody", pizza);
    await shop.settled(orderId);
    const answer = await shop.call(`/v1/orders/${orderId}:cancel`, {});
    expect(answer).toMatchObject({ status: 400, body: { details: [{ reason: "WRONG_STATE" }, {}] } });
  });
});

describe("accounting, called by sagas", () => {
  test("refunds what was captured when the order is cancelled", async () => {
    const consumer = await shop.consumer({ balanceCents: 5000 });
    const orderId = await shop.order(consumer, pizza);
    await shop.settled(orderId);
    const branch = { sagaId: `settle/${orderId}`, step: "capture" };
    await accounting().capturePayment({ branch, orderId });
    expect(await shop.account(consumer)).toEqual({
      balance: 5000 - PIZZA_CENTS,
      held: 0,
      captured: PIZZA_CENTS,
    });
    await shop.call(`/v1/orders/${orderId}:cancel`, {});
    expect(await shop.settled(orderId)).toMatchObject({ state: "CANCELLED" });
    expect(await shop.account(consumer)).toEqual({ balance: 5000, held: 0, captured: 0 });
  });

  test("holds once, gives back once, and never holds what was undone before it came", async () => {
    const consumerId = await shop.consumer({ balanceCents: 5000 });
    const hold = (saga: string) => {
      const branch = { sagaId: `${saga}/${consumerId}`, step: "authorize-card" };
      const orderId = `${saga}-of-${consumerId}`.slice(0, 64);
      return {
        authorize: () => accounting().authorizeCard({ branch, orderId, consumerId, amountCents: 700n }),
        giveBack: () => accounting().reverseAuthorization({ branch, orderId }),
      };
    };
    const { authorize, giveBack } = hold("twice");
    await Promise.all([authorize(), authorize()]);
    expect(await shop.account(consumerId)).toMatchObject({ balance: 4300, held: 700 });
    await Promise.all([giveBack(), giveBack()]);
    expect(await shop.account(consumerId)).toMatchObject({ balance: 5000, held: 0 });

    const late = hold("late");
    await late.giveBack();
    await expect(late.authorize()).rejects.toSatisfy((error) => hasReason(error, Reason.ALREADY_COMPENSATED));
    expect(await shop.account(consumerId)).toMatchObject({ balance: 5000, held: 0 });
  });

  const accounting = () => createClient(AccountingParticipantService, createTransport(channel));
  let channel: Channel;
  beforeAll(() => {
    channel = createChannel({ address: `127.0.0.1:${place.ports.accounting}` });
  });
  afterAll(() => channel.close());
});

test("tickets move on in order only, and a step that was done is done", async () => {
  const orderId = await shop.order(await shop.consumer(), pizza);
  await shop.settled(orderId);
  expect(await shop.call(`/v1/tickets/${orderId}:markReady`, {})).toMatchObject({
    status: 400,
    body: { message: `ticket "${orderId}" is AWAITING_ACCEPTANCE, not PREPARING` },
  });
  for (let i = 0; i < 2; i++) {
    expect(await shop.call(`/v1/tickets/${orderId}:accept`, {})).toMatchObject({
      status: 200,
      body: { state: "TICKET_STATE_ACCEPTED", lines: pizza },
    });
  }
});

describe("watching", () => {
  test("sends every change in order, from the beginning or after a sequence number", async () => {
    const orderId = await shop.order(await shop.consumer(), pizza);
    const live = collect(orderId, "");
    await shop.settled(orderId);
    await shop.call(`/v1/orders/${orderId}:cancel`, {});
    const states = ["APPROVAL_PENDING", "APPROVED", "CANCEL_PENDING", "CANCELLED"];
    const all = states.map((state, index) => ({ sequence: index + 1, state: `ORDER_STATE_${state}` }));
    expect(await live).toMatchObject(all);
    expect(await collect(orderId, "?afterSequence=2")).toMatchObject(all.slice(2));
    expect(await collect(orderId, "?afterSequence=4")).toEqual([]);
  });

  test("is NOT_FOUND for an order that does not exist", async () => {
    await expect(collect("nope", "")).rejects.toThrow("404");
  });

  async function collect(orderId: string, query: string): Promise<Json[]> {
    const seen: Json[] = [];
    for await (const transition of watch(place.url, orderId, query)) seen.push(transition);
    return seen;
  }
});

describe("lists", () => {
  test("come in pages that hold everything once", async () => {
    const seen: unknown[] = [];
    for (let token = "", page = 0; page === 0 || token !== ""; page++) {
      const { body } = await shop.call(`/v1/products?pageSize=3&pageToken=${token}`);
      seen.push(...(body["products"] as Json[]).map(({ sku }) => sku));
      token = String(body["nextPageToken"]);
      expect(page).toBeLessThan(3);
    }
    expect(seen).toEqual([
      "calzone",
      "cola",
      "diavola",
      "funghi",
      "margherita",
      "tiramisu",
      "truffle",
      "water",
    ]);
  });

  test("of orders are newest first, of one consumer or of all", async () => {
    const consumer = await shop.consumer();
    const ids = [await shop.order(consumer, pizza), await shop.order(consumer, pizza)];
    const mine = await shop.call(`/v1/orders?consumerId=${consumer}&pageSize=1`);
    expect(mine.body["orders"]).toMatchObject([{ orderId: ids[1], lines: pizza }]);
    const token = String(mine.body["nextPageToken"]);
    const rest = await shop.call(`/v1/orders?consumerId=${consumer}&pageSize=1&pageToken=${token}`);
    expect(rest.body).toMatchObject({ orders: [{ orderId: ids[0] }], nextPageToken: "" });
    expect((await shop.call("/v1/orders?pageSize=2")).body["orders"]).toMatchObject([
      { orderId: ids[1] },
      { orderId: ids[0] },
    ]);
    // A token of another list is refused, not answered with some page.
    expect(await shop.call(`/v1/orders?pageToken=${token}`)).toMatchObject({ status: 400 });
    for (const id of ids) await shop.settled(id);
  });

  test("several products come in one call; those that do not exist are left out", async () => {
    const { body } = await shop.call("/v1/products:batchGet?skus=water&skus=dragon&skus=cola");
    expect(body["products"]).toMatchObject([{ sku: "cola" }, { sku: "water" }]);
  });
});

test("restocking adds to what is on hand", async () => {
  const before = await shop.product("tiramisu");
  expect(await shop.call("/v1/products/tiramisu:restock", { quantity: 5 })).toMatchObject({ status: 200 });
  expect(await shop.product("tiramisu")).toEqual({ ...before, onHand: before.onHand + 5 });
});

describe("the response cache", () => {
  const get = async (path: string) => {
    const response = await fetch(place.url + path);
    return { cache: response.headers.get("cache-status"), body: (await response.json()) as Json };
  };

  test("gives products and orders from the cache, and shows every change of them at once", async () => {
    await expect.poll(async () => (await get("/v1/products/cola")).cache).toMatch(/^heddle; hit/);
    await expect.poll(async () => (await get("/v1/products?pageSize=9")).cache).toMatch(/^heddle; hit/);
    const before = await shop.product("cola");
    await shop.call("/v1/products/cola:restock", { quantity: 5 });
    expect(await shop.product("cola")).toEqual({ ...before, onHand: before.onHand + 5 });

    const orderId = await shop.order(await shop.consumer(), [{ sku: "cola", quantity: 1 }]);
    expect(await shop.settled(orderId)).toMatchObject({ state: "APPROVED" });
    const after = { ...before, onHand: before.onHand + 4, sold: before.sold + 1 };
    expect(await shop.product("cola")).toEqual(after);
    const { body } = await get("/v1/products?pageSize=9");
    expect(body["products"]).toContainEqual(expect.objectContaining({ sku: "cola", onHand: after.onHand }));
    await expect.poll(async () => (await get(`/v1/orders/${orderId}`)).cache).toMatch(/^heddle; hit/);
    const cancelled = await shop.call(`/v1/orders/${orderId}:cancel`, {});
    expect((await get(`/v1/orders/${orderId}`)).body["state"]).not.toBe("ORDER_STATE_APPROVED");
    expect(cancelled.status).toBe(200);
    expect(await shop.settled(orderId)).toMatchObject({ state: "CANCELLED" });
    expect((await shop.product("cola")).onHand).toBe(before.onHand + 5);
  });
});

describe("wrong input is refused, with the field that is wrong", () => {
  const line = { sku: "cola", quantity: 1 };
  test.each<[what: string, path: string, body: unknown, fields: string[]]>([
    ["an empty order", "/v1/orders", { consumerId: "ada", lines: [] }, ["lines"]],
    ["nobody's order", "/v1/orders", { lines: [line] }, ["consumer_id"]],
    [
      "a quantity of 0",
      "/v1/orders",
      { consumerId: "ada", lines: [line, { sku: "water", quantity: 0 }] },
      ["lines[1].quantity"],
    ],
    [
      "a quantity of 1001",
      "/v1/orders",
      { consumerId: "ada", lines: [{ sku: "cola", quantity: 1001 }] },
      ["lines[0].quantity"],
    ],
    [
      "101 lines",
      "/v1/orders",
      { consumerId: "ada", lines: Array.from({ length: 101 }, () => line) },
      ["lines"],
    ],
    [
      "an unknown product",
      "/v1/orders",
      { consumerId: "ada", lines: [line, { sku: "dragon", quantity: 1 }] },
      ["lines[1].sku"],
    ],
    ["a product twice", "/v1/orders", { consumerId: "ada", lines: [line, line] }, ["lines[1].sku"]],
    ["a forged page token", "/v1/products?pageToken=abc", undefined, ["page_token"]],
    ["a negative page size", "/v1/products?pageSize=-1", undefined, ["page_size"]],
    ["a negative amount", "/v1/accounts/ada:deposit", { amountCents: -1 }, ["amount_cents"]],
    ["too large an amount", "/v1/accounts/ada:deposit", { amountCents: 100_000_001 }, ["amount_cents"]],
    ["an id with capitals", "/v1/consumers", { consumerId: "Ada", name: "Ada" }, ["consumer_id"]],
    ["no name and a negative limit", "/v1/consumers", { orderLimitCents: -1 }, ["name", "order_limit_cents"]],
    ["a name of 201 characters", "/v1/consumers", { name: "x".repeat(201) }, ["name"]],
    ["restocking nothing", "/v1/products/cola:restock", { quantity: 0 }, ["quantity"]],
  ])("%s", async (_, path, body, fields) => {
    const { status, body: answer } = await shop.call(path, body);
    expect(status, JSON.stringify(answer)).toBe(400);
    const details = answer["details"] as { "@type": string; fieldViolations?: { field: string }[] }[];
    const violations = details.find((detail) => detail["@type"].endsWith("BadRequest"))?.fieldViolations;
    expect(violations?.map(({ field }) => field)).toEqual(fields);
  });

  test.each([
    ["/v1/orders/nope", "shop.order.v1.Order"],
    ["/v1/products/dragon", "shop.inventory.v1.Product"],
    ["/v1/consumers/nobody", "shop.consumer.v1.Consumer"],
    ["/v1/kitchens/nowhere", "shop.kitchen.v1.Kitchen"],
    ["/v1/tickets/nope", "shop.kitchen.v1.Ticket"],
    ["/v1/accounts/nobody", "shop.accounting.v1.Account"],
    ["/v1/products/%C3%BC", "shop.inventory.v1.Product"],
  ])("%s does not exist", async (path, type) => {
    const { status, body } = await shop.call(path);
    expect({ status, body }).toMatchObject({ status: 404, body: { details: [{}, { resourceType: type }] } });
  });

  test("an id that is taken", async () => {
    const id = await shop.consumer();
    for (const [path, body] of [
      ["/v1/consumers", { consumerId: id, name: "Ada" }],
      ["/v1/accounts", { accountId: id }],
    ] as const) {
      expect(await shop.call(path, body)).toMatchObject({
        status: 409,
        body: { details: [{}, { resourceName: id }] },
      });
    }
  });
});

describe("the databases", () => {
  test("break no rule after all that", async () => {
    expect(await violations(socket)).toEqual([]);
  });

  test.each<[fault: string, rule: string]>([
    ["UPDATE inventory.products SET on_hand = on_hand + 1 WHERE sku = 'cola'", "per product, on_hand"],
    [
      "UPDATE inventory.products SET on_hand = on_hand - 1, reserved = reserved + 1 WHERE sku = 'cola'",
      "what is counted as reserved",
    ],
    ["UPDATE accounting.accounts SET balance_cents = balance_cents + 1 LIMIT 1", "per account, balance"],
    [
      "UPDATE accounting.accounts SET balance_cents = balance_cents - 1, held_cents = held_cents + 1 WHERE balance_cents > 0 LIMIT 1",
      "what an account holds",
    ],
    ["UPDATE accounting.ledger SET amount_cents = amount_cents + 1 LIMIT 1", "the columns of an account"],
    ["UPDATE kitchen.kitchens SET active_tickets = active_tickets + 1 LIMIT 1", "a kitchen's active tickets"],
    ["UPDATE `order`.orders SET state = 'CANCELLED' WHERE state = 'APPROVED' LIMIT 1", "no money is held"],
    ["UPDATE `order`.orders SET state = 'CANCELLED' WHERE state = 'APPROVED' LIMIT 1", "no stock is taken"],
    [
      "UPDATE `order`.orders SET total_cents = total_cents + 1 WHERE state = 'APPROVED' LIMIT 1",
      "an approved order is paid for",
    ],
    [
      "UPDATE inventory.reservations SET quantity = quantity + 1 WHERE state = 'SOLD' LIMIT 1",
      "an approved order has bought",
    ],
    [
      "UPDATE kitchen.tickets SET state = 'CANCELLED' WHERE state = 'AWAITING_ACCEPTANCE' LIMIT 1",
      "ticket state fits",
    ],
    [
      "INSERT INTO kitchen.tickets (ticket_id, kitchen_id, state) VALUES ('x', 'main', 'READY')",
      "a ticket belongs",
    ],
    [
      "UPDATE kitchen.tickets SET lock_saga_id = 'x' WHERE state = 'AWAITING_ACCEPTANCE' LIMIT 1",
      "only what a saga",
    ],
    ["DELETE FROM `order`.order_transitions WHERE sequence = 1 LIMIT 1", "an order's transitions"],
    ["UPDATE `order`.order_lines SET quantity = quantity + 1 LIMIT 1", "an order's total"],
    [
      "UPDATE `order`.orders SET state = 'CANCEL_PENDING', lock_saga_id = 'x' WHERE state = 'APPROVED' LIMIT 1",
      "no saga is left",
    ],
    ["INSERT INTO `order`.outbox (topic, aggregate_id, payload) VALUES ('x', 'x', '')", "no saga waits"],
    [
      "UPDATE inventory.reservations SET state = 'RESERVED' WHERE state = 'SOLD' LIMIT 1",
      "nothing is held on the way",
    ],
  ])("would show %s", async (fault, rule) => {
    const connection = await createConnection({ socketPath: socket, user: "root" });
    try {
      await connection.beginTransaction();
      await connection.query(fault);
      const { name, sql } = invariants.find((invariant) => invariant.name.startsWith(rule))!;
      const [rows] = await connection.query(sql);
      expect(rows, name).not.toHaveLength(0);
    } finally {
      await connection.rollback();
      await connection.end();
    }
  });
});

/** What Temporal's web UI shows of a workflow, once it is done. */
async function workflow(workflowId: string): Promise<{ status: string; memo: unknown }> {
  const connection = await Connection.connect({ address: `127.0.0.1:${place.ports.temporal}` });
  try {
    const handle = new WorkflowClient({ connection }).getHandle(workflowId);
    await handle.result();
    const { status, memo } = await handle.describe();
    return { status: status.name, memo };
  } finally {
    await connection.close();
  }
}
