/**
 * Orders go on through the gateway while the MySQL primary is killed: each that was submitted ends APPROVED or REJECTED,
 * once, and money and stock add up.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readPassword } from "../../../infra/mysql/accounts.ts";
import { membersOf } from "../../../infra/mysql/folder.ts";
import { sleep } from "../../../mesh/clock.ts";
import { createDatabase, type Database } from "../../../mesh/sql/database.ts";
import { violations } from "../../integration/invariants.ts";
import {
  createStackPlace,
  killProcess,
  launch,
  processesOf,
  stopLauncher,
  until,
  type LaunchedStack,
  type StackPlace,
} from "../../support/launched-stack.ts";
import { createShop, type Shop } from "../../support/shop.ts";

const ORDERS = 80;
const EVERY_MS = 250;
const KILL_AFTER_MS = 5_000;

let place: StackPlace;
let stack: LaunchedStack;
let shop: Shop;
let db: Database;

beforeAll(async () => {
  place = await createStackPlace();
  stack = await launch(place);
  shop = createShop(place.url);
  const folder = join(place.folder, "data", "mysql");
  const seeds = [place.ports.mysql, place.ports.mysql_2, place.ports.mysql_3].map(
    (port) => `127.0.0.1:${port}`,
  );
  db = createDatabase({
    seeds,
    database: "order",
    user: "order",
    password: await readPassword(folder, "order"),
  });
  await shop.settled(await shop.order(await shop.consumer(), [{ sku: "cola", quantity: 1 }]));
});

afterAll(async () => {
  await db?.close(0);
  if (stack !== undefined) await stopLauncher(stack);
  place?.remove();
});

test("orders go on while the MySQL primary is killed", { timeout: 300_000 }, async () => {
  const consumer = await shop.consumer({ limitCents: 1_000_000, balanceCents: 1_000_000 });
  const poor = await shop.consumer({ balanceCents: 0 });
  const refusals: string[] = [];
  const placed: Promise<{ readonly id: string; readonly ms: number }>[] = [];
  const killed = sleep(KILL_AFTER_MS).then(killPrimary);
  for (let i = 0; i < ORDERS; i++) {
    placed.push(place1(i % 5 === 0 ? poor : consumer, refusals));
    await sleep(EVERY_MS);
  }
  const answers = await Promise.all(placed);
  const primary = await killed;
  const ends = await Promise.all(answers.map(({ id }) => shop.settled(id)));
  await until(async () => (await violations(await liveSocket())).length === 0, "the shop to settle");

  const count = (state: string) => ends.filter((end) => end.state === state).length;
  const slowest = Math.max(...answers.map(({ ms }) => ms));
  console.log(
    `${primary} killed amid ${ORDERS} orders: ${count("APPROVED")} approved, ${count("REJECTED")} rejected; ` +
      `slowest answer ${(slowest / 1000).toFixed(2)} s; answers that were an error: ${refusals.length} ${refusals.join(" ")}`,
  );
  expect(new Set(answers.map(({ id }) => id)).size).toBe(ORDERS);
  expect(count("APPROVED")).toBe((ORDERS * 4) / 5);
  expect(count("REJECTED")).toBe(ORDERS / 5);
  expect(refusals).toEqual([]);
});

/** Places an order as a careful client does: until there is an answer, under one key. */
async function place1(
  consumerId: string,
  refusals: string[],
): Promise<{ readonly id: string; readonly ms: number }> {
  const begin = performance.now();
  const order = { consumerId, lines: [{ sku: "margherita", quantity: 1 }] };
  const headers = { "idempotency-key": randomUUID() };
  for (;;) {
    const answer = await shop.call("/v1/orders", order, { headers }).catch((error: Error) => error);
    if (!(answer instanceof Error) && answer.status === 200) {
      return { id: String(answer.body["orderId"]), ms: performance.now() - begin };
    }
    refusals.push(
      answer instanceof Error ? answer.message : `${answer.status} ${JSON.stringify(answer.body)}`,
    );
    await sleep(200);
  }
}

async function killPrimary(): Promise<string> {
  const { writer } = db.topology();
  const victim = processesOf(place).find(({ addresses }) => addresses["mysql"] === writer);
  await killProcess(place, victim!.name);
  return victim!.name;
}

/** The socket of the primary: it has everything. */
async function liveSocket(): Promise<string> {
  await until(() => db.topology().writer !== undefined, "a primary");
  const ports = [place.ports.mysql, place.ports.mysql_2, place.ports.mysql_3];
  const members = membersOf(join(place.folder, "data", "mysql"), ports);
  return members.find(({ name }) => name === db.topology().writer)!.socket;
}
