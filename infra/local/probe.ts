/** Readiness by asking, never by waiting for a fixed time. */
import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

/** Answers whether something is ready now. Never throws. */
export type Probe = () => Promise<boolean>;

/** Ready when a GET of the URL answers with status 200. */
export function httpProbe(url: string): Probe {
  return async () => {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(1000) });
      await response.arrayBuffer();
      return response.status === 200;
    } catch {
      return false;
    }
  };
}

/** Ready when a gateway, by its admin address, routes to a service of each of these packages, such as `shop.order`. */
export function routesProbe(admin: string, packages: readonly string[]): Probe {
  return async () => {
    try {
      const response = await fetch(`http://${admin}/routes`, { signal: AbortSignal.timeout(1000) });
      const { services } = (await response.json()) as { services: readonly string[] };
      return packages.every((name) => services.some((service) => service.startsWith(`${name}.`)));
    } catch {
      return false;
    }
  };
}

/** Ready when the port accepts a connection. */
export function tcpProbe(host: string, port: number): Probe {
  return () =>
    new Promise((resolve) => {
      const socket = connect({ host, port, timeout: 1000 });
      const end = (ready: boolean) => {
        socket.destroy();
        resolve(ready);
      };
      socket
        .once("connect", () => end(true))
        .once("error", () => end(false))
        .once("timeout", () => end(false));
    });
}

/** Ready when Redis answers a PING: it accepts connections before it has loaded its data. */
export function redisProbe(host: string, port: number): Probe {
  return () =>
    new Promise((resolve) => {
      const socket = connect({ host, port, timeout: 1000 }, () => socket.write("PING\r\n"));
      const end = (ready: boolean) => {
        socket.destroy();
        resolve(ready);
      };
      socket
        .once("data", (answer) => end(answer.toString().startsWith("+PONG")))
        .once("error", () => end(false))
        .once("timeout", () => end(false));
    });
}

/** Asks every 50 ms until it is ready. Rejects when `signal` aborts, with its reason. */
export async function untilReady(probe: Probe, signal: AbortSignal): Promise<void> {
  while (!(await probe())) {
    signal.throwIfAborted();
    await wait(50, undefined, { signal });
  }
}
