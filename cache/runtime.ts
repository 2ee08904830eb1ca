/** A node with its sockets and its place in the ring, as `main.ts` runs it. */
import { randomUUID } from "node:crypto";
import type { Cache as CacheConfig } from "../gen/ts/heddle/config/v1/config_pb.ts";
import { CACHE_SERVICE, membershipOf, watchMembership } from "../mesh/cache/members.ts";
import { sleep, systemClock } from "../mesh/clock.ts";
import type { Resolver } from "../mesh/registry/instances.ts";
import { cacheSettings, type CacheSettings } from "./config.ts";
import { listenFront, type Front } from "./front.ts";
import { createCacheNode, type CacheNode } from "./node.ts";
import { createHttp2Transport } from "./transport.ts";

/** What a node is started with. */
export interface RuntimeOptions {
  /** `host:port` to listen on. */
  readonly listen: string;
  /** The address that others dial, and the node's name. Default: the one it listens on. */
  readonly advertise?: string;
  readonly config?: CacheConfig | undefined;
  /** Address of the gRPC server for all calls that are no stream. */
  readonly behind?: () => string | undefined;
}

/** A node that runs. */
export interface Runtime {
  readonly address: string;
  readonly node: CacheNode;
  readonly settings: CacheSettings;
  /** Goes by the ring of the registry from now on. */
  join(resolver: Resolver): void;
  /** Goes by the ring of these addresses from now on. */
  joinStatic(addresses: readonly string[]): void;
  /** Waits until what it holds is where it belongs, or all others have left too, for at most `timeoutMs`; then stops. */
  leave(timeoutMs: number): Promise<void>;
}

const POLL_MS = 50;

/** Starts a node that is in no ring yet. */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  const settings = cacheSettings(options.config);
  const { maxBytes, replicas, namespaces } = settings;
  /** Whether nobody is there any more whom this node could leave anything. */
  let isLast = () => false;
  const closing = new AbortController();
  let node: CacheNode | undefined;
  const front: Front = await listenFront(options.listen, {
    node: () => node,
    behind: () => options.behind?.(),
  });
  const address = options.advertise || front.address;
  const started = createCacheNode({
    id: address,
    newBootId: randomUUID,
    maxBytes,
    namespaces,
    clock: systemClock,
    random: Math.random,
    // A node's name is its address.
    transport: createHttp2Transport((name) => name),
  });
  node = started;
  return {
    address,
    node: started,
    settings,
    join(resolver) {
      const set = resolver.watch(CACHE_SERVICE);
      isLast = () => set.serving().length === 0;
      void watchMembership(set, replicas, closing.signal, ({ ring }) => started.setRing(ring));
    },
    joinStatic(addresses) {
      const instances = addresses.map((each) => ({ address: each, zone: "", weight: 1 }));
      started.setRing(membershipOf(instances, replicas).ring);
    },
    async leave(timeoutMs) {
      const dueAt = systemClock.monotonic() + timeoutMs;
      const isDone = () => started.isHandedOver() || isLast();
      while (!isDone() && systemClock.monotonic() < dueAt) await sleep(POLL_MS);
      closing.abort();
      started.close();
      await front.close();
    },
  };
}
