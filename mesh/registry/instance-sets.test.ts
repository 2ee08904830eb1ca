import { expect, test } from "vitest";
import { InstanceState } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { createInstanceSets } from "./instance-sets.ts";
import { instanceOf } from "./testing.ts";

const service = "test.v1.EchoService";
const signal = AbortSignal.timeout(5000);

test("a set is the same for the same name, and knows what came before it", () => {
  const sets = createInstanceSets();
  sets.update([instanceOf(1)]);
  expect(sets.watch(service).current()).toHaveLength(1);
  expect(sets.watch(service)).toBe(sets.watch(service));
  expect(sets.watch("test.v1.OtherService").current()).toEqual([]);
});

test("a set changes only when its own members do", async () => {
  const sets = createInstanceSets();
  const set = sets.watch(service);
  const one = instanceOf(1);
  const changed = set.changed(signal);
  sets.update([one]);
  await changed;
  const members = set.current();
  sets.update([one, instanceOf(2, { services: ["test.v1.OtherService"] })]);
  expect(set.current()).toBe(members);
});

test("an instance that drains leaves, also as the last one", () => {
  const sets = createInstanceSets();
  const set = sets.watch(service);
  sets.update([instanceOf(1)]);
  sets.update([instanceOf(1, { state: InstanceState.DRAINING })]);
  expect(set.current()).toEqual([]);
});

test("a silent instance keeps serving, for those whom only leases tell of a loss", async () => {
  const sets = createInstanceSets();
  const set = sets.watch(service);
  const [one, two] = [instanceOf(1), instanceOf(2)];
  sets.update([one, two]);
  const suspect = instanceOf(2, { suspect: true });
  const changed = set.changed(signal);
  sets.update([one, suspect]);
  await changed;
  expect(set.current()).toEqual([one]);
  expect(set.serving()).toEqual([one, suspect]);
  sets.update([one, instanceOf(2, { state: InstanceState.DRAINING })]);
  expect(set.serving()).toEqual([one]);
});

test("waiting ends with its signal", async () => {
  const set = createInstanceSets().watch(service);
  await expect(set.changed(AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
  const stop = new AbortController();
  const changed = set.changed(stop.signal);
  stop.abort(new Error("enough"));
  await expect(changed).rejects.toThrow("enough");
});
