/**
 * `npm run test:compose`: builds and starts docker-compose.yml as a user would, orders through the published gateway port,
 * kills one service process under reads, and takes everything down. Exit status 0 if all of it held.
 *
 * Needs a Docker engine with compose. Uses a project name and ports of its own, so that it does not touch a running stack.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import { freePorts } from "../free-ports.ts";

const [http, http2, ui, prometheus] = await freePorts(4);
const gateway = `http://127.0.0.1:${http}`;
const env = {
  ...process.env,
  COMPOSE_PROJECT_NAME: `heddle-smoke-${process.pid}`,
  HEDDLE_PORT: `${http}`,
  HEDDLE_PORT_2: `${http2}`,
  HEDDLE_TEMPORAL_UI_PORT: `${ui}`,
  HEDDLE_PROMETHEUS_PORT: `${prometheus}`,
};

if (spawnSync("docker", ["info"], { stdio: "ignore" }).status !== 0) {
  console.error("test:compose needs a running Docker engine; `docker info` fails here");
  process.exit(1);
}
try {
  const begin = performance.now();
  compose("up", "-d", "--build", "--wait", "--wait-timeout", "300");
  report(`healthy after ${((performance.now() - begin) / 1000).toFixed(0)} s`);
  const consumer = `ada-${process.pid}`;
  await orderEndsAs(consumer, 5000, "ORDER_STATE_APPROVED");
  await orderEndsAs(`${consumer}-poor`, 1, "ORDER_STATE_REJECTED");
  await killUnderReads("inventory-1");
} finally {
  compose("down", "-v", "--timeout", "30");
}
assert.equal(
  docker("volume", "ls", "-q", "--filter", `name=${env.COMPOSE_PROJECT_NAME}`),
  "",
  "volumes are left",
);
assert.equal(docker("ps", "-aq", "--filter", `name=${env.COMPOSE_PROJECT_NAME}`), "", "containers are left");
report("down -v left nothing\n1 passed, 0 failed");

async function orderEndsAs(consumerId: string, depositCents: number, state: string): Promise<void> {
  await call("/v1/consumers", { consumerId, name: "Ada" });
  await call("/v1/accounts", { accountId: consumerId });
  await call(`/v1/accounts/${consumerId}:deposit`, { amountCents: depositCents });
  const { orderId } = await call("/v1/orders", { consumerId, lines: [{ sku: "margherita", quantity: 1 }] });
  const until = performance.now() + 30_000;
  for (;;) {
    const order = await call(`/v1/orders/${orderId as string}`);
    if (order["state"] === state) return report(`order ended ${state}`);
    assert.ok(performance.now() < until, `order is ${JSON.stringify(order)} after 30 s, not ${state}`);
    await wait(50);
  }
}

/** Kills the process of a container from the host: `docker kill` would count as a manual stop. */
async function killUnderReads(service: string): Promise<void> {
  const container = compose("ps", "-q", service).trim();
  const pid = Number(docker("inspect", "-f", "{{.State.Pid}}", container));
  let reads = 0;
  const over = new AbortController();
  const readers = Array.from({ length: 8 }, async () => {
    while (!over.signal.aborted) {
      await call("/v1/products?pageSize=1");
      reads += 1;
    }
  });
  await wait(500);
  process.kill(pid, "SIGKILL");
  const healthy = async () => docker("inspect", "-f", "{{.State.Health.Status}} {{.State.Pid}}", container);
  for (const until = performance.now() + 60_000; ; await wait(200)) {
    const [status, now] = (await healthy()).split(" ");
    if (status === "healthy" && Number(now) !== pid) break;
    assert.ok(performance.now() < until, `${service} has not come back`);
  }
  over.abort();
  await Promise.all(readers);
  report(`${service} killed and back; ${reads} reads, none failed`);
}

async function call(path: string, body?: object): Promise<Record<string, unknown>> {
  const response = await fetch(`${gateway}${path}`, {
    method: body === undefined ? "GET" : "POST",
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const text = await response.text();
  assert.equal(response.status, 200, `${path}: ${response.status} ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

function compose(...args: string[]): string {
  const quiet = args[0] === "ps";
  const out = execFileSync("docker", ["compose", ...args], {
    env,
    stdio: ["ignore", quiet ? "pipe" : "inherit", "inherit"],
  });
  return quiet ? out.toString() : "";
}

function docker(...args: string[]): string {
  return execFileSync("docker", args, { env }).toString().trim();
}

function report(text: string): void {
  console.log(`test:compose: ${text}`);
}
