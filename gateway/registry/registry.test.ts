import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { Registry as MetricsRegistry } from "prom-client";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { InstanceState } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { rpcError } from "../../mesh/errors.ts";
import type { InstanceChanges } from "../../mesh/registry/known-instances.ts";
import { idOf, instanceOf } from "../../mesh/registry/testing.ts";
import { createRegistry, type Registry, type RegistryOptions } from "./registry.ts";
import type { Store } from "./store.ts";
import { createMemoryStore } from "./stores/memory.ts";

const service = "test.v1.EchoService";

/** A store that can be away, and that can lose everything. */
function createFragileStore() {
  let inner = createMemoryStore();
  let away = false;
  let cut = new AbortController();
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    if (away) throw rpcError(Code.Unavailable, Reason.STORE_UNAVAILABLE, "the store is away");
    return work();
  };
  const store: Store = {
    write: (command) => guard(() => inner.write(command)),
    snapshot: () => guard(() => inner.snapshot()),
    changes: (after, signal) => {
      const both = AbortSignal.any([signal, cut.signal]);
      return guard(() => inner.changes(after, both));
    },
    close: () => inner.close(),
  };
  const breakConnections = (reason: string) => {
    cut.abort(rpcError(Code.Unavailable, Reason.STORE_UNAVAILABLE, reason));
    cut = new AbortController();
  };
  return {
    store,
    leave() {
      away = true;
      breakConnections("the store went away");
    },
    comeBack() {
      away = false;
    },
    flush() {
      inner = createMemoryStore();
    },
  };
}

let fragile = createFragileStore();
let registry: Registry;
const opened: Registry[] = [];

function open(options: Partial<RegistryOptions> = {}): Registry {
  registry = createRegistry({ store: fragile.store, random: () => 0.5, ...options });
  opened.push(registry);
  return registry;
}

const register = (n: number, state: InstanceState = InstanceState.SERVING) =>
  registry.write({ kind: "register", instance: instanceOf(n, { state }) });
const tell = (kind: "beat" | "suspect" | "deregister", n: number) =>
  registry.write({ kind, instanceId: idOf(n), incarnation: 0n });
const ids = () => [...registry.instances().keys()].map((id) => Number(id.slice(3)));
const callable = () =>
  registry.resolver
    .watch(service)
    .current()
    .map(({ instanceId }) => Number(instanceId.slice(3)));

beforeEach(() => {
  vi.useFakeTimers();
  fragile = createFragileStore();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((registry) => registry.close()));
  vi.useRealTimers();
});

describe("a registry", () => {
  test("answers with what was just written", async () => {
    await open().ready;
    expect(await register(1)).toBe("done");
    expect(callable()).toEqual([1]);
    expect(registry.revision()).toMatch(/^[0-9A-Z]{26}\/1$/);
    expect(await register(1, InstanceState.DRAINING)).toBe("done");
    expect(callable()).toEqual([]);
    expect(ids()).toEqual([1]);
    expect(await tell("deregister", 1)).toBe("done");
    expect(ids()).toEqual([]);
  });

  test("shares one view with another on the same store", async () => {
    const first = open();
    const second = open();
    await first.write({ kind: "register", instance: instanceOf(1) });
    await vi.advanceTimersByTimeAsync(0);
    expect([...second.instances().keys()]).toEqual([idOf(1)]);
    expect(second.revision()).toBe(first.revision());
  });

  test("removes who does not beat, unless more than half of a service would go", async () => {
    await open().ready;
    for (const n of [1, 2, 3]) await register(n);
    for (let seconds = 0; seconds < 20; seconds += 5) {
      for (const n of [1, 2]) expect(await tell("beat", n)).toBe("done");
      await vi.advanceTimersByTimeAsync(5000);
    }
    expect(ids()).toEqual([1, 2]);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(new Set(ids())).toEqual(new Set([1, 2, 3]));
    expect(callable()).toHaveLength(3);
    expect(await tell("beat", 1)).toBe("unknown");
  });

  test("tells listeners what changed", async () => {
    await open().ready;
    await register(1);
    const heard: InstanceChanges[] = [];
    const stop = registry.watch((changes) => heard.push(changes));
    await register(2);
    await register(1, InstanceState.DRAINING);
    await tell("deregister", 1);
    const draining = instanceOf(1, { state: InstanceState.DRAINING });
    expect(heard).toEqual([
      { added: [instanceOf(1)], changed: [], removed: [] },
      { added: [instanceOf(2)], changed: [], removed: [] },
      { added: [], changed: [draining], removed: [] },
      { added: [], changed: [], removed: [draining] },
    ]);
    stop();
    await register(3);
    expect(heard).toHaveLength(4);
  });

  test("holds pinned instances without a lease, for itself alone", async () => {
    const other = open();
    await open().ready;
    registry.pin(instanceOf(1));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(callable()).toEqual([1]);
    expect(other.instances().size).toBe(0);
    registry.unpin(idOf(1));
    expect(callable()).toEqual([]);
  });

  test("forgets the problems of an instance with it", async () => {
    await open().ready;
    await register(1);
    registry.problems.set(idOf(1), ["no such luck"]);
    expect(registry.problems.get(idOf(1))).toEqual(["no such luck"]);
    await tell("deregister", 1);
    expect(registry.problems.get(idOf(1))).toEqual([]);
  });
});

describe("while its store is away", () => {
  beforeEach(async () => {
    await open().ready;
    await register(1);
    await register(2);
    fragile.leave();
    await vi.advanceTimersByTimeAsync(0);
  });

  test("keeps what it knows, and says since when", async () => {
    await vi.advanceTimersByTimeAsync(600_000);
    expect(callable()).toEqual([1, 2]);
    expect(registry.staleMs()).toBeGreaterThanOrEqual(600_000);
  });

  test("takes registrations, beats and farewells for itself", async () => {
    expect(await register(3)).toBe("done");
    expect(await tell("beat", 1)).toBe("done");
    expect(await tell("beat", 9)).toBe("unknown");
    expect(await tell("deregister", 2)).toBe("done");
    expect(callable()).toEqual([1, 3]);
  });

  test("tells the store all of it afterwards", async () => {
    await register(3);
    await tell("deregister", 2);
    const heard: InstanceChanges[] = [];
    registry.watch((changes) => heard.push(changes));
    fragile.comeBack();
    await vi.advanceTimersByTimeAsync(5000);
    expect(registry.staleMs()).toBe(0);
    const { instances } = await fragile.store.snapshot();
    expect(new Set(instances)).toEqual(new Set([instanceOf(1), instanceOf(3)]));
    expect(ids()).toEqual([1, 3]);
    expect(heard).toHaveLength(1); // nobody came back, not even for a moment
  });

  test("does not end leases for it when the store is back", async () => {
    await vi.advanceTimersByTimeAsync(600_000);
    fragile.comeBack();
    await vi.advanceTimersByTimeAsync(6000);
    expect(await tell("beat", 1)).toBe("done");
    expect(await tell("beat", 2)).toBe("done");
    expect(callable()).toEqual([1, 2]);
  });

  test("keeps everybody when the store comes back empty, until they register again", async () => {
    fragile.flush();
    fragile.comeBack();
    await vi.advanceTimersByTimeAsync(5000);
    expect(callable()).toEqual([1, 2]);
    expect(await tell("beat", 1)).toBe("unknown");
    await register(1);
    await register(2);
    expect([...registry.instances().values()]).toEqual([instanceOf(1), instanceOf(2)]);
  });
});

test("notices by itself that its store began anew", async () => {
  await open().ready;
  await register(1);
  const before = registry.revision();
  fragile.flush();
  await vi.advanceTimersByTimeAsync(2000);
  await register(2);
  expect(registry.revision().split("/")[0]).not.toBe(before.split("/")[0]);
  expect(new Set(ids())).toEqual(new Set([1, 2]));
});

test("shows its metrics", async () => {
  const metrics = new MetricsRegistry();
  await open({ metrics }).ready;
  await register(1);
  await register(2, InstanceState.DRAINING);
  await tell("suspect", 1);
  const text = await metrics.metrics();
  expect(text).toContain("mesh_registry_revision 3");
  expect(text).toContain("mesh_registry_staleness_seconds 0");
  expect(text).toContain('mesh_registry_endpoints{state="serving"} 0');
  expect(text).toContain('mesh_registry_endpoints{state="suspect"} 1');
  expect(text).toContain('mesh_registry_endpoints{state="draining"} 1');
});

describe("with a snapshot on disk", () => {
  let folder: string;
  let snapshotFile: string;
  beforeEach(async () => {
    vi.useRealTimers();
    folder = await mkdtemp(join(tmpdir(), "heddle-registry-"));
    snapshotFile = join(folder, "deep", "registry.json");
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("starts from it while the store is away", async () => {
    await open({ snapshotFile }).ready;
    await register(1);
    await registry.close();
    expect(await readdir(join(folder, "deep"))).toEqual(["registry.json"]);

    fragile.leave();
    await open({ snapshotFile }).ready;
    expect(callable()).toEqual([1]);
    expect(await tell("beat", 1)).toBe("done");
  });

  test("ignores it when the store answers", async () => {
    await open({ snapshotFile }).ready;
    await register(1);
    await registry.close();
    fragile.flush();
    await open({ snapshotFile }).ready;
    expect(ids()).toEqual([]);
  });

  test("starts empty, and says so, when neither store nor file is of use", async () => {
    fragile.leave();
    await open({ snapshotFile }).ready;
    expect(ids()).toEqual([]);
    expect(registry.staleMs()).toBeGreaterThan(0);
    expect(registry.revision()).toBe("");
  });
});
