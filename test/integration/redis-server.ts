/** A real redis-server for one test file, on a free port, without persistence. */
import { once } from "node:events";
import { spawn, type ChildProcess } from "node:child_process";
import { Redis } from "ioredis";
import { freePorts } from "../../infra/free-ports.ts";
import { ensureRedis } from "../../infra/tools/redis.ts";

/** A server that can be taken away and brought back on the same port. */
export interface TestRedis {
  readonly url: string;
  /** Starts it, empty. Resolves when it answers. */
  start(): Promise<void>;
  /** Kills it. */
  kill(): Promise<void>;
  /** Deletes everything in it. */
  flush(): Promise<void>;
  /** SIGSTOP and SIGCONT: connections stay open, and nothing answers. */
  freeze(): void;
  thaw(): void;
}

/** Finds or installs Redis, and starts it. */
export async function startRedis(): Promise<TestRedis> {
  const { executable } = await ensureRedis();
  const [port] = (await freePorts(1)) as [number];
  const url = `redis://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;

  const redis: TestRedis = {
    url,
    async start() {
      const settings = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
      child = spawn(executable, settings, { stdio: "ignore" });
      await withClient(url, (client) => client.ping());
    },
    async kill() {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
    flush: () => withClient(url, (client) => client.flushall()).then(() => undefined),
    freeze: () => void child?.kill("SIGSTOP"),
    thaw: () => void child?.kill("SIGCONT"),
  };
  await redis.start();
  return redis;
}

async function withClient<T>(url: string, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  client.on("error", () => undefined);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}
