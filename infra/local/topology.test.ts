import { create } from "@bufbuild/protobuf";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { ConfigSchema } from "../../gen/ts/heddle/config/v1/config_pb.ts";
import { loadConfig } from "../../mesh/config.ts";
import { assignPorts } from "./ports.ts";
import { heddleNodes, type Profile } from "./topology.ts";

function nodes(profile: Profile) {
  return heddleNodes({
    profile,
    ports: assignPorts({}).ports,
    config: create(ConfigSchema, {
      log: { level: "debug" },
      upstreams: [{ name: "library", address: "127.0.0.1:9000" }],
    }),
    redisUrl: "redis://127.0.0.1:6390",
    temporalAddress: "127.0.0.1:7233",
    dataFolder: "/data",
    mysqlMembers: ["127.0.0.1:3311"],
    passwordFile: (account) => `/secrets/${account}`,
  });
}

test("the full profile has two gateways, three cache nodes and two instances of order and inventory", () => {
  expect(nodes("full").map(({ name }) => name)).toEqual([
    "gateway-1",
    "gateway-2",
    "cache-1",
    "cache-2",
    "cache-3",
    "order-1",
    "order-2",
    "inventory-1",
    "inventory-2",
    "consumer-1",
    "kitchen-1",
    "accounting-1",
    "worker-1",
  ]);
});

test("the small profile has one of each", () => {
  expect(nodes("small").every(({ name }) => name.endsWith("-1"))).toBe(true);
  expect(nodes("small")).toHaveLength(8);
});

test("a cache node that is alone does not wait for a second copy", () => {
  const acks = (profile: Profile) =>
    nodes(profile)
      .filter(({ name }) => name.startsWith("cache-"))
      .map(({ config }) =>
        JSON.stringify(config["cache"])
          .match(/"ack":"\w+"/g)
          ?.join(),
      );
  expect(acks("full")).toEqual(Array(3).fill('"ack":"two","ack":"one"'));
  expect(acks("small")).toEqual(['"ack":"available","ack":"one"']);
});

test("no two processes share an address", () => {
  const places = nodes("full").flatMap(({ addresses }) => [...new Set(Object.values(addresses))]);
  expect(new Set(places).size).toBe(places.length);
});

test("every process gets a configuration that it accepts, with the launcher's own settings in it", () => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-topology-"));
  for (const { name, config } of nodes("full")) {
    const file = join(folder, `${name}.yaml`);
    writeFileSync(file, stringify(config));
    expect(loadConfig(["--config", file], {})).toMatchObject({
      log: { level: "debug" },
      upstreams: [{ name: "library" }],
    });
  }
  rmSync(folder, { recursive: true });
});
