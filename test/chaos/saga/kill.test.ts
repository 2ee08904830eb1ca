/**
 * `kill -9` of the worker, the order service or Temporal in the middle of 50 sagas: once it runs again, all of them end
 * APPROVED or REJECTED within 30 s, and money and stock add up. The seed is printed; `SEED=` repeats a run's choices.
 */
import { randomInt } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { membersOf } from "../../../infra/mysql/folder.ts";
import { seededRandom, type Random } from "../../../mesh/clock.ts";
import { violations } from "../../integration/invariants.ts";
import {
  createStackPlace,
  killProcess,
  launch,
  stopLauncher,
  until,
  type LaunchedStack,
  type StackPlace,
} from "../../support/launched-stack.ts";
import { createShop, type Json, type Line, type Shop } from "../../support/shop.ts";

const ORDERS = 50;
const LIMIT_MS = 30_000;
const SEED = Number(process.env["SEED"] ?? randomInt(2 ** 31));

let place: StackPlace;
let stack: LaunchedStack;
let shop: Shop;

beforeAll(async () => {
  place = await createStackPlace({ profile: "small" });
  stack = await launch(place);
  shop = createShop(place.url);
  await shop.settled(await shop.order(await shop.consumer(), [{ sku: "cola", quantity: 1 }]));
});

afterAll(async () => {
  if (stack !== undefined) await stopLauncher(stack);
  place?.remove();
});

describe.each(["worker-1", "order-1", "temporal"])(
  `kill -9 of %s amid ${ORDERS} sagas (SEED=${SEED})`,
  (victim) => {
    test("leaves every order done or undone", async () => {
      const random = seededRandom(SEED);
      const consumers = await Promise.all(Array.from({ length: 5 }, () => richConsumer()));
      const poor = await shop.consumer({ balanceCents: 0 });
      const wanted = Array.from({ length: ORDERS }, () => someOrder(random, consumers, poor));
      const placed = wanted.map((order, i) => placeUntilAnswered(`${SEED}-${victim}-${i}`, order));
      const ranAtKill = await killAmidSagas(victim, 10 + Math.floor(random() * 25));
      const restarted = performance.now();
      const ids = await Promise.all(placed);
      const tookMs = await untilAllEnded(restarted);

      const states = await Promise.all(ids.map((id) => shop.settled(id)));
      const count = (state: string) => states.filter((each) => each.state === state).length;
      console.log(
        `kill -9 of ${victim}, SEED=${SEED}: ${ranAtKill} sagas ran, all ended ${(tookMs / 1000).toFixed(1)} s after its ` +
          `restart: ${count("APPROVED")} approved, ${count("REJECTED")} rejected`,
      );
      expect(new Set(ids).size).toBe(ORDERS);
      expect(count("APPROVED") + count("REJECTED")).toBe(ORDERS);
      expect(count("APPROVED")).toBeGreaterThan(0);
      expect(count("REJECTED")).toBeGreaterThan(0);
      expect(await violations(socket())).toEqual([]);
    });
  },
);

function richConsumer(): Promise<string> {
  return shop.consumer({ limitCents: 1_000_000, balanceCents: 1_000_000 });
}

interface Wanted {
  readonly consumerId: string;
  readonly lines: readonly Line[];
  readonly kitchenId: string;
}

/** Four of five are fine; the others are refused before, at, or by the pivot. */
function someOrder(random: Random, consumers: readonly string[], poor: string): Wanted {
  const quantity = 1 + Math.floor(random() * 3);
  const lines = [
    { sku: "margherita", quantity },
    { sku: "cola", quantity },
  ];
  const consumerId = consumers[Math.floor(random() * consumers.length)]!;
  const luck = random();
  if (luck < 0.07) return { consumerId: poor, lines, kitchenId: "main" };
  if (luck < 0.14) return { consumerId, lines, kitchenId: "night" };
  if (luck < 0.2)
    return { consumerId, lines: [...lines, { sku: "truffle", quantity: 4 }], kitchenId: "main" };
  return { consumerId, lines, kitchenId: "main" };
}

/** Places an order as a careful client does: until there is an answer, under one key. */
async function placeUntilAnswered(key: string, order: Wanted): Promise<string> {
  let id = "";
  await until(
    async () => {
      const answer = await shop
        .call("/v1/orders", order, { headers: { "idempotency-key": key } })
        .catch(() => undefined);
      if (answer?.status === 200) id = String(answer.body["orderId"]);
      return id !== "";
    },
    `an answer for order ${key}`,
    60_000,
  );
  return id;
}

/** Kills a process as soon as so many sagas run. Resolves once it is there again, with how many ran. */
async function killAmidSagas(victim: string, atLeast: number): Promise<number> {
  let ran = 0;
  await until(async () => (ran = await countPending()) >= atLeast, `${atLeast} sagas to run, SEED=${SEED}`);
  await killProcess(place, victim);
  return ran;
}

/** Resolves with how long it took. Asks seldom, as asking costs time too. */
async function untilAllEnded(since: number): Promise<number> {
  for (;;) {
    const pending = await countPending();
    const tookMs = performance.now() - since;
    if (pending === 0) return tookMs;
    if (tookMs > LIMIT_MS)
      throw new Error(`${pending} orders had not ended after ${LIMIT_MS} ms, SEED=${SEED}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** How many sagas run now; more than none if the order service does not answer. */
async function countPending(): Promise<number> {
  const answer = await shop.call(`/v1/orders?pageSize=${ORDERS}`).catch(() => undefined);
  if (answer?.status !== 200) return ORDERS;
  return (answer.body["orders"] as Json[]).filter(({ state }) => String(state).endsWith("_PENDING")).length;
}

function socket(): string {
  return membersOf(`${place.folder}/data/mysql`, [place.ports.mysql])[0]!.socket;
}
