/**
 * A client process of the cache: `node stampede-client.ts NODES CALLERS`. For each line on its input it asks for a key
 * with as many callers at once, and prints how often it loaded the value as JSON.
 */
import { createInterface } from "node:readline";
import { createCache } from "../../mesh/cache/client.ts";
import { createCacheTier } from "../../mesh/cache/tier.ts";
import { sleep } from "../../mesh/clock.ts";
import { createStaticResolver } from "../../mesh/registry/static-resolver.ts";

const [nodes = "", callers = ""] = process.argv.slice(2);
const tier = createCacheTier({ resolver: createStaticResolver(nodes.split(",")) });
const cache = createCache<string>({ tier, namespace: "t", readTimeoutMs: 5000 });
// Connected to all, so that the callers of all processes begin together.
await Promise.all(Array.from({ length: 100 }, (_, index) => cache.get(`warm-${index}`)));
process.stdout.write(`${JSON.stringify({ msg: "ready" })}\n`);

for await (const key of createInterface({ input: process.stdin })) {
  let loads = 0;
  const load = async () => {
    loads++;
    await sleep(100);
    return `value of ${key}`;
  };
  // Each caller by itself: what one process has in flight already would not be asked for again.
  const caches = Array.from({ length: Number(callers) }, () =>
    createCache<string>({ tier, namespace: "t", readTimeoutMs: 5000 }),
  );
  const values = await Promise.all(caches.map((each) => each.getOrLoad(key, { ttlMs: 60_000 }, load)));
  const wrong = values.filter((value) => value !== `value of ${key}`).length;
  process.stdout.write(`${JSON.stringify({ msg: "done", key, loads, wrong })}\n`);
}
await tier.close();
