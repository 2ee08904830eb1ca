/**
 * `kill -9` of one of two inventory instances under 300 GET/s through the gateway: no request fails, the instance comes
 * back by itself, and it gets traffic again.
 */
import { Agent, request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  createStackPlace,
  killProcess,
  launch,
  stopLauncher,
  until,
  type LaunchedStack,
  type StackPlace,
} from "../../support/launched-stack.ts";

const RATE_PER_S = 300;

let place: StackPlace;
let stack: LaunchedStack;
beforeAll(async () => {
  place = await createStackPlace();
  stack = await launch(place);
});
afterAll(async () => {
  await stopLauncher(stack);
  place.remove();
});

test("no request fails while an instance is killed and comes back", async () => {
  const load = openLoop(`${place.url}/v1/products/margherita`, RATE_PER_S);
  await until(() => load.answered() > 2 * RATE_PER_S, "two seconds of load");
  await killProcess(place, "inventory-2");
  const handled = () => handledBy(place.ports.inventory_2_admin);
  await until(async () => (await handled()) > RATE_PER_S, "the new instance to get traffic");
  const { answered, failures, slowestMs } = await load.end();
  console.log(
    `kill -9 under load: ${answered} answered, ${failures.length} failed, slowest ${slowestMs.toFixed(0)} ms`,
  );
  expect(failures).toEqual([]);
});

/** GETs at a fixed rate, whether or not the answers come: a stalled server does not slow the load. */
function openLoop(url: string, ratePerS: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const failures: string[] = [];
  let sent = 0;
  let answered = 0;
  let slowestMs = 0;
  const begin = performance.now();
  const timer = setInterval(() => {
    for (const due = ((performance.now() - begin) / 1000) * ratePerS; sent < due; sent += 1) send();
  }, 5);
  function send(): void {
    const start = performance.now();
    const fail = (why: string) => {
      answered += 1;
      failures.push(why);
    };
    const call = request(url, { agent }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("end", () => {
        slowestMs = Math.max(slowestMs, performance.now() - start);
        if (response.statusCode === 200) answered += 1;
        else fail(`${response.statusCode} ${body}`);
      });
    });
    call.on("error", (error) => fail(error.message)).end();
  }
  return {
    answered: () => answered,
    async end() {
      clearInterval(timer);
      await until(() => answered === sent, "the last answers");
      agent.destroy();
      return { answered, failures, slowestMs };
    },
  };
}

/** How many calls of GetProduct a process has handled, by its metrics; 0 while it does not answer. */
async function handledBy(adminPort: number): Promise<number> {
  try {
    const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
    const lines = text.split("\n").filter((line) => /^grpc_server_handled_total\{.*GetProduct"/.test(line));
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  } catch {
    return 0;
  }
}
