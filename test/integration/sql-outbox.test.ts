/** The outbox and its relays, against a real member. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestGroup, type TestGroup } from "../../infra/mysql/testing.ts";
import { enqueue, type OutboxMessage } from "../../mesh/bus/outbox.ts";
import { createRelay, type Relay, type RelayOptions } from "../../mesh/bus/relay.ts";
import { seededRandom, sleep } from "../../mesh/clock.ts";
import { createDatabase, type Database } from "../../mesh/sql/database.ts";
import { migrate } from "../../mesh/sql/migrate.ts";

let group: TestGroup;
let db: Database;
let folder: string;
const relays: Relay[] = [];
let published: string[] = [];

beforeAll(async () => {
  group = await startTestGroup();
  folder = await mkdtemp(join(tmpdir(), "heddle-migrations-"));
  const password = await group.password("order");
  db = createDatabase({ seeds: group.seeds, database: "order", user: "order", password });
  await migrate(db, folder);
});

afterAll(async () => {
  await db?.close(100);
  await group?.stop();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => {
  published = [];
});

afterEach(async () => {
  await Promise.all(relays.splice(0).map((relay) => relay.close()));
  await db.write((tx) => tx.execute("DELETE FROM outbox"));
});

const text = ({ payload }: OutboxMessage) => Buffer.from(payload).toString();

function relay(options: Partial<RelayOptions> = {}): Relay {
  const made = createRelay({
    db,
    publish: async (message) => void published.push(`${message.aggregateId} ${text(message)}`),
    pollMs: 20,
    ...options,
  });
  relays.push(made);
  return made;
}

const send = (aggregateId: string, ...texts: string[]) =>
  db.write(async (tx) => {
    for (const each of texts) {
      await enqueue(tx, { topic: "test", aggregateId, payload: Buffer.from(each) });
    }
  });

const left = async () => {
  const [row] = await db.read((q) => q.query<{ n: number }>("SELECT COUNT(*) AS n FROM outbox"));
  return row!.n;
};

describe("relay", () => {
  test("publishes what was committed, and nothing else, then forgets it", async () => {
    relay();
    await send("a", "1", "2");
    await db
      .write(async (tx) => {
        await enqueue(tx, { topic: "test", aggregateId: "a", payload: Buffer.from("never") });
        throw new Error("rolled back");
      })
      .catch(() => undefined);
    await send("a", "3");
    await expect.poll(() => published).toEqual(["a 1", "a 2", "a 3"]);
    await expect.poll(left).toBe(0);
  });

  test("looks at once when kicked", async () => {
    const kicked = relay({ pollMs: 60_000 });
    await sleep(50);
    await send("a", "1");
    kicked.kick();
    await expect.poll(() => published, { timeout: 1000 }).toEqual(["a 1"]);
  });

  test("several relays publish each message once, in order for each aggregate", async () => {
    const random = seededRandom(7);
    const publish: RelayOptions["publish"] = async (message) => {
      await sleep(random() * 5);
      published.push(`${message.aggregateId} ${text(message)}`);
    };
    for (let i = 0; i < 3; i++) relay({ publish, batch: 7 });
    const aggregates = ["a", "b", "c", "d", "e"];
    for (let i = 0; i < 40; i++) await Promise.all(aggregates.map((each) => send(each, String(i))));
    await expect.poll(left, { timeout: 20_000 }).toBe(0);
    expect(published).toHaveLength(200);
    for (const aggregate of aggregates) {
      const order = published
        .filter((line) => line.startsWith(aggregate))
        .map((line) => Number(line.slice(2)));
      expect(order).toEqual(Array.from({ length: 40 }, (_, i) => i));
    }
  });

  test("tries again what was not published, before later messages of its aggregate, and goes on with others", async () => {
    let failures = 2;
    relay({
      async publish(message) {
        if (message.aggregateId === "a" && text(message) === "1" && failures-- > 0)
          throw new Error("not now");
        published.push(`${message.aggregateId} ${text(message)}`);
      },
    });
    await send("a", "1", "2");
    await send("b", "1");
    await expect.poll(() => published, { timeout: 5000 }).toEqual(["b 1", "a 1", "a 2"]);
  });

  test("takes over what a relay that died had claimed, when its claim has run out", async () => {
    await send("a", "1");
    const dead = relay({ publish: () => new Promise(() => undefined), claimMs: 300 });
    await expect
      .poll(() => db.read((q) => q.query("SELECT id FROM outbox WHERE claim IS NOT NULL")))
      .toHaveLength(1);
    relays.splice(relays.indexOf(dead), 1);
    relay();
    await expect.poll(() => published, { timeout: 5000 }).toEqual(["a 1"]);
  });
});
