import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ulid } from "ulid";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InstanceSchema, InstanceState, type Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { systemClock, type Clock } from "../../mesh/clock.ts";
import { silentLog } from "../../mesh/observe/log.ts";
import { createRegistry, type Registry } from "../registry/registry.ts";
import { createMemoryStore } from "../registry/stores/memory.ts";
import { echo } from "../routes/echo.fixture.ts";
import { createCatalog, type Catalog } from "./catalog.ts";
import type { LearnedApi } from "./reflect.ts";

const [SERVICE] = echo.services;
const TARGET = `${SERVICE}/Echo`;
const api: LearnedApi = { services: echo.services, files: echo.files };
const { signal } = new AbortController();

let registry: Registry;
let catalog: Catalog;
let asked: string[];
let answer: (address: string) => Promise<LearnedApi>;

/** Timers run at once, so that trying again takes no time. */
const hastyClock: Clock = { ...systemClock, after: (_, callback) => systemClock.after(0, callback) };

beforeEach(() => {
  registry = createRegistry({ store: createMemoryStore() });
  asked = [];
  answer = () => Promise.resolve(api);
  const learn = (address: string) => {
    asked.push(address);
    return answer(address);
  };
  catalog = createCatalog({ registry, learn, log: silentLog, clock: hastyClock, random: () => 0.5 });
});
afterEach(async () => {
  catalog.close();
  await registry.close();
});

function instance(fields: MessageInitShape<typeof InstanceSchema> = {}): Instance {
  const address = fields.address ?? "10.0.0.1:1";
  const state = InstanceState.SERVING;
  return create(InstanceSchema, { instanceId: ulid(), services: [SERVICE!], address, state, ...fields });
}

function callable(): string[] {
  return catalog.resolver
    .watch(TARGET)
    .current()
    .map(({ address }) => address);
}

describe("createCatalog", () => {
  test("asks one instance of each digest and calls all of them", async () => {
    registry.pin(instance({ descriptorDigest: "d1", address: "10.0.0.1:1" }));
    registry.pin(instance({ descriptorDigest: "d1", address: "10.0.0.2:1" }));
    expect(callable()).toEqual([]);
    await catalog.settled(signal);
    expect(asked).toEqual(["10.0.0.1:1"]);
    expect(catalog.table().services).toEqual([SERVICE]);
    expect(callable()).toEqual(["10.0.0.1:1", "10.0.0.2:1"]);
  });

  test("leaves alone what only the mesh calls", async () => {
    registry.pin(instance({ descriptorDigest: "d1", internal: true }));
    await catalog.settled(signal);
    expect(asked).toEqual([]);
    expect(catalog.table().services).toEqual([]);
    expect(callable()).toEqual([]);
  });

  test("asks each instance that does not say its digest", async () => {
    registry.pin(instance({ address: "10.0.0.1:1" }));
    registry.pin(instance({ address: "10.0.0.2:1" }));
    await catalog.settled(signal);
    expect(asked).toEqual(["10.0.0.1:1", "10.0.0.2:1"]);
    expect(callable()).toEqual(asked);
  });

  test("tries the next instance where one does not answer, and tells why until one does", async () => {
    const first = instance({ descriptorDigest: "d1", address: "10.0.0.1:1" });
    const works = Promise.withResolvers<LearnedApi>();
    let failures = 0;
    answer = () => (failures++ < 2 ? Promise.reject(new Error("not now")) : works.promise);
    registry.pin(first);
    await catalog.settled(signal);
    expect(registry.problems.get(first.instanceId)).toEqual([
      "its API cannot be learned by reflection: not now",
    ]);
    registry.pin(instance({ descriptorDigest: "d1", address: "10.0.0.2:1" }));
    await expect.poll(() => new Set(asked).size).toBe(2);
    works.resolve(api);
    await expect.poll(callable).toHaveLength(2);
    expect(registry.problems.get(first.instanceId)).toEqual([]);
  });

  test("tells an instance which of its routes were refused", async () => {
    registry.pin(instance({ descriptorDigest: "d1" }));
    const second = instance({ descriptorDigest: "d2", services: ["no.Such"] });
    registry.pin(second);
    await catalog.settled(signal);
    expect(registry.problems.get(second.instanceId)).toEqual(["no.Such: its descriptor is missing"]);
    expect(catalog.problems()).toHaveLength(1);
    expect(callable()).toHaveLength(1);
  });

  test("publishes a table only when what is offered changes", async () => {
    const tables = new Set<unknown>();
    catalog.onTable((table) => tables.add(table));
    const one = instance({ descriptorDigest: "d1" });
    registry.pin(one);
    await catalog.settled(signal);
    const table = catalog.table();
    registry.pin({ ...one, zone: "b" });
    expect(catalog.table()).toBe(table);
    registry.unpin(one.instanceId);
    expect(catalog.table()).toBe(table);
    expect(callable()).toEqual([]);
  });

  test("takes over what others have learned", () => {
    const descriptorDigest = catalog.add(api);
    registry.pin(instance({ descriptorDigest }));
    expect(callable()).toEqual(["10.0.0.1:1"]);
    expect(asked).toEqual([]);
  });
});
