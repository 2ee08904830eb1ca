/** A thousand callers in three processes miss the same key at once: one of them loads it. */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCacheCluster, type CacheCluster } from "../../support/cache-cluster.ts";

const ROUNDS = 10;
const CALLERS = 334;
const PROCESSES = 3;

interface Client {
  readonly process: ChildProcess;
  readonly lines: AsyncIterator<string>;
  readonly input: Interface;
}

interface Report {
  readonly loads: number;
  readonly wrong: number;
}

let cluster: CacheCluster;
let clients: Client[] = [];

beforeAll(async () => {
  cluster = await startCacheCluster(3, ["namespaces: [{ name: t }]"]);
  clients = await Promise.all(Array.from({ length: PROCESSES }, startClient));
});

afterAll(async () => {
  for (const { process: child, input } of clients) {
    input.close();
    child.kill("SIGKILL");
  }
  await cluster?.stop();
});

async function startClient(): Promise<Client> {
  const args = ["test/support/stampede-client.ts", cluster.addresses.join(","), String(CALLERS)];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  const input = createInterface({ input: child.stdout });
  const client = { process: child, input, lines: input[Symbol.asyncIterator]() };
  await client.lines.next();
  return client;
}

async function stampede({ process: child, lines }: Client, key: string): Promise<Report> {
  child.stdin!.write(`${key}\n`);
  const { value } = (await lines.next()) as { value: string };
  return JSON.parse(value) as Report;
}

test(
  `${PROCESSES * CALLERS} callers in ${PROCESSES} processes load a key once`,
  { timeout: 120_000 },
  async () => {
    const loads: number[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      const reports = await Promise.all(clients.map((client) => stampede(client, `key-${round}`)));
      loads.push(reports.reduce((sum, report) => sum + report.loads, 0));
      expect(reports.map(({ wrong }) => wrong)).toEqual([0, 0, 0]);
    }
    console.log(
      `${PROCESSES * CALLERS} callers in ${PROCESSES} processes, ${ROUNDS} keys: ${loads.join(", ")} loads`,
    );
    expect(loads).toEqual(loads.map(() => 1));
  },
);
