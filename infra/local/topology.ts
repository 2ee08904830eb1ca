/** Which Heddle processes the local stack has, and the configuration of each. Pure: nothing is started here. */
import { join } from "node:path";
import { create, toJson, type JsonObject } from "@bufbuild/protobuf";
import { ConfigSchema, type Config } from "../../gen/ts/heddle/config/v1/config_pb.ts";
import type { PortName, Ports } from "./ports.ts";

/** Everything that the configurations depend on. */
export interface Surroundings {
  readonly ports: Ports;
  readonly profile: Profile;
  /** Configuration of the launcher; its `edge`, `upstreams`, `log` and `drain_timeout` hold for the processes too. */
  readonly config: Config;
  readonly redisUrl: string;
  readonly temporalAddress: string;
  /** Where processes may keep files. */
  readonly dataFolder: string;
  /** `host:port` of every MySQL member. */
  readonly mysqlMembers: readonly string[];
  /** File with the password of an account. */
  passwordFile(account: string): string;
}

/** `full`: two gateways, two instances of order and inventory, three cache nodes and MySQL members. `small`: one of each. */
export type Profile = "full" | "small";

/** One Heddle process. */
export interface Node {
  readonly name: string;
  /** Path of its main.ts from the root. */
  readonly script: string;
  /** Flags of Node for it, beside those that all processes have. */
  readonly flags?: readonly string[];
  /** Units that it needs. */
  readonly after: readonly string[];
  readonly addresses: Readonly<Record<string, string>>;
  readonly config: JsonObject;
  /** Package of the services that it offers, such as `shop.order`; absent if it offers none. */
  readonly offers?: string;
}

const SERVICES = ["order", "inventory", "consumer", "kitchen", "accounting"] as const;
const TWICE: readonly string[] = ["order", "inventory"];
/** What a cache node holds at most; it takes about as much memory as it holds. */
const CACHE_MAX_BYTES = 64 * 1024 * 1024;

/** All Heddle processes of a profile. */
export function heddleNodes(around: Surroundings): readonly Node[] {
  return [
    ...gatewayNumbers(around).map((number) => gatewayNode(around, number)),
    ...(around.profile === "full" ? [1, 2, 3] : [1]).map((number) => cacheNode(around, number)),
    ...SERVICES.flatMap((service) =>
      numbers(around, TWICE.includes(service)).map((number) => serviceNode(around, service, number)),
    ),
    workerNode(around),
  ];
}

/** The ports that the stack of a profile listens on. */
export function usedPorts(profile: Profile, all: Ports): readonly PortName[] {
  const names = Object.keys(all) as PortName[];
  return profile === "full" ? names : names.filter((name) => !/_[23](_|$)/.test(name));
}

function gatewayNode(around: Surroundings, number: number): Node {
  const name = `gateway-${number}`;
  const listen = local(around, numbered("gateway", number));
  const control = local(around, numbered("control", number));
  const admin = local(around, `${numbered("gateway", number)}_admin` as PortName);
  return {
    name,
    script: "gateway/main.ts",
    after: ["redis"],
    addresses: { http: listen, grpc: listen, control, admin },
    config: {
      ...shared(around),
      listen,
      control,
      admin,
      instance: { number },
      redis: { url: around.redisUrl, snapshotFile: join(around.dataFolder, `${name}-registry.json`) },
    },
  };
}

function cacheNode(around: Surroundings, number: number): Node {
  const grpc = local(around, numbered("cache", number));
  const admin = local(around, `${numbered("cache", number)}_admin` as PortName);
  // A node that is alone has nobody to acknowledge a second copy.
  const ack = around.profile === "full" ? "two" : "available";
  return {
    name: `cache-${number}`,
    script: "cache/main.ts",
    // Its collections are small and many, and waking helper threads for them takes longer than they do.
    flags: ["--single-threaded-gc"],
    after: ["gateway-1"],
    addresses: { grpc, admin },
    config: {
      ...shared(around),
      listen: grpc,
      admin,
      instance: { number, version: "0.1.0" },
      registry: registry(around),
      cache: {
        maxBytes: CACHE_MAX_BYTES,
        namespaces: [
          { name: "default", ack },
          { name: "responses", ack: "one" },
        ],
      },
    },
  };
}

function serviceNode(around: Surroundings, service: string, number: number): Node {
  const grpc = local(around, numbered(service, number));
  const admin = local(around, `${numbered(service, number)}_admin` as PortName);
  return {
    name: `${service}-${number}`,
    script: `services/${service}/main.ts`,
    after: ["mysql", "gateway-1"],
    addresses: { grpc, admin },
    offers: `shop.${service}`,
    config: {
      ...shared(around),
      listen: grpc,
      admin,
      instance: { number, version: "0.1.0" },
      registry: registry(around),
      mysql: {
        seeds: [...around.mysqlMembers],
        database: service,
        user: service,
        passwordFile: around.passwordFile(service),
      },
      ...(service === "order" ? { temporal: { address: around.temporalAddress } } : {}),
    },
  };
}

function workerNode(around: Surroundings): Node {
  const admin = local(around, "worker_admin");
  return {
    name: "worker-1",
    script: "workflows/worker.ts",
    after: ["temporal", "gateway-1"],
    addresses: { admin },
    config: {
      ...shared(around),
      admin,
      instance: { number: 1 },
      registry: registry(around),
      temporal: { address: around.temporalAddress },
    },
  };
}

/** The parts of the launcher's own configuration that every process gets. */
function shared({ config }: Surroundings): JsonObject {
  const { upstreams, edge, log, drainTimeout } = config;
  return toJson(
    ConfigSchema,
    create(ConfigSchema, {
      upstreams,
      ...(edge === undefined ? {} : { edge }),
      ...(log === undefined ? {} : { log }),
      ...(drainTimeout === undefined ? {} : { drainTimeout }),
    }),
  ) as JsonObject;
}

function registry(around: Surroundings): JsonObject {
  return { endpoints: gatewayNumbers(around).map((number) => local(around, numbered("control", number))) };
}

function gatewayNumbers(around: Surroundings): readonly number[] {
  return numbers(around, true);
}

function numbers({ profile }: Surroundings, twice: boolean): readonly number[] {
  return profile === "full" && twice ? [1, 2] : [1];
}

function numbered(name: string, number: number): PortName {
  return (number === 1 ? name : `${name}_${number}`) as PortName;
}

function local({ ports }: Surroundings, name: PortName): string {
  return `127.0.0.1:${ports[name]}`;
}
