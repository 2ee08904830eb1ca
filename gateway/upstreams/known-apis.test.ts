import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { InstanceSchema, type Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { KnownApis } from "./known-apis.ts";

function instance(descriptorDigest: string, version = "1.0.0", startedAtMs = 1000): Instance {
  const time = startedAtMs.toString(32).toUpperCase().padStart(10, "0");
  return create(InstanceSchema, { instanceId: `${time}${"0".repeat(16)}`, descriptorDigest, version });
}

const digestOf = ({ descriptorDigest }: Instance) => descriptorDigest;

function known(...apis: [digest: string, ...services: string[]][]): KnownApis {
  const all = new KnownApis();
  for (const [digest, ...services] of apis) all.add(digest, { services, files: [] });
  return all;
}

function digests(apis: KnownApis, ...instances: Instance[]): string[] {
  return apis.current(instances, digestOf).map(({ digest }) => digest);
}

describe("KnownApis", () => {
  test("keeps an API while its instances are there, and after, until its services have another one", () => {
    const apis = known(["a", "S", "T"], ["b", "S"], ["c", "T"]);
    expect(digests(apis, instance("a"))).toEqual(["a"]);
    apis.add("b", { services: ["S"], files: [] });
    expect(digests(apis, instance("b"))).toEqual(["a", "b"]); // T has no other one.
    expect(digests(apis)).toEqual(["a", "b"]);
    apis.add("c", { services: ["T"], files: [] });
    expect(digests(apis, instance("b"), instance("c"))).toEqual(["b", "c"]);
    expect(apis.has("a")).toBe(false);
  });

  test("serves versions side by side", () => {
    expect(digests(known(["a", "S"], ["b", "S"]), instance("a"), instance("b"))).toEqual(["a", "b"]);
  });

  test("ignores instances whose API is not known yet", () => {
    expect(digests(known(["a", "S"]), instance("b"))).toEqual(["a"]);
  });

  test("takes the highest version and the youngest start", () => {
    const apis = known(["a", "S"]);
    const [api] = apis.current([instance("a", "1.10.0", 1024), instance("a", "1.9.0", 2048)], digestOf);
    expect(api).toMatchObject({ version: "1.10.0", startedAtMs: expect.any(Number) as number });
  });

  test("gives the same object back until something changes", () => {
    const apis = known(["a", "S"]);
    const one = instance("a");
    const [first] = apis.current([one], digestOf);
    expect(apis.current([one], digestOf)[0]).toBe(first);
    expect(apis.current([one, instance("a", "2.0.0")], digestOf)[0]).not.toBe(first);
  });
});
