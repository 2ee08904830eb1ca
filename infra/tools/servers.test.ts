import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { redisCommand, TEMPORAL_SETTINGS, temporalCommand } from "./servers.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "heddle-servers-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const tool = { name: "redis", executable: "/bin/redis-server", version: "8.0.0", source: "on PATH" } as const;
const cli = { ...tool, name: "temporal", kind: "cli" } as const;
const place = () => ({ port: 7233, uiPort: 8233, metricsPort: 8234, folder: join(folder, "temporal") });

async function answering(text: string): Promise<Server> {
  const server = createServer((socket) => socket.on("data", () => socket.end(text)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

describe("redisCommand", () => {
  test("keeps to loopback, appends to a file, and makes its folder", () => {
    const { args } = redisCommand(tool, { port: 6390, folder: join(folder, "redis") });
    expect(args.join(" ")).toContain("--port 6390 --bind 127.0.0.1");
    expect(args.join(" ")).toContain("--appendonly yes");
    expect(existsSync(join(folder, "redis"))).toBe(true);
  });

  test.each([
    ["+PONG\r\n", true],
    ["-LOADING Redis is loading the dataset in memory\r\n", false],
  ])("is ready after %j: %s", async (text, expected) => {
    const server = await answering(text);
    const { port } = server.address() as AddressInfo;
    expect(await redisCommand(tool, { port, folder }).probe()).toBe(expected);
    server.close();
  });
});

describe("temporalCommand", () => {
  test("tunes the command line and the pinned server alike", () => {
    const file = new URL("../../third_party/temporal/dynamic-config.yaml", import.meta.url);
    const settings = Object.entries(parse(readFileSync(file, "utf8")) as Record<string, unknown>);
    expect(settings.map(([key, value]) => `${key}=${JSON.stringify(value)}`)).toEqual(TEMPORAL_SETTINGS);
    const { args } = temporalCommand(cli, place());
    for (const setting of TEMPORAL_SETTINGS) expect(args).toContain(setting);
    expect(temporalCommand({ ...cli, kind: "server" }, place()).args).toContain("--dynamic-config");
  });

  test("is ready once the web UI knows the namespace", async () => {
    let status = 404;
    const server = createHttpServer((request, response) => {
      response.writeHead(request.url === "/api/v1/namespaces/default" ? status : 500).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port: uiPort } = server.address() as AddressInfo;
    const { probe } = temporalCommand(cli, { ...place(), uiPort });
    expect(await probe()).toBe(false);
    status = 200;
    expect(await probe()).toBe(true);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await probe()).toBe(false);
  });
});
