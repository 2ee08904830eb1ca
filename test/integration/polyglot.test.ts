/**
 * The promise of the gateway, from the other side: a server in another language, generated from its own proto, that knows
 * nothing of Heddle, is named in the configuration and answers REST, Connect and gRPC through the gateway.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { run } from "../../infra/tools/run.ts";
import { startGateway, type GatewayProcess } from "../support/gateway.ts";
import { pythonWith } from "../support/python.ts";

const FOLDER = "test/integration/python";
const python = await pythonWith(`${FOLDER}/requirements.txt`);

let generated: string;
let server: ChildProcess;
let gateway: GatewayProcess;

beforeAll(async () => {
  if (python === undefined) return;
  generated = mkdtempSync(join(tmpdir(), "heddle-python-"));
  const outputs = [`--python_out=${generated}`, `--grpc_python_out=${generated}`];
  const protoc = ["-m", "grpc_tools.protoc", `-I${FOLDER}`, "-Ithird_party", ...outputs, "library.proto"];
  await run("python3", protoc, { env: python });
  const env = { ...python, PYTHONPATH: `${python["PYTHONPATH"]}:${generated}` };
  server = spawn("python3", [`${FOLDER}/server.py`], { env, stdio: ["pipe", "pipe", "inherit"] });
  const [port] = (await once(createInterface({ input: server.stdout! }), "line")) as [string];
  gateway = await startGateway(`upstreams: [{ name: library, address: "127.0.0.1:${port}" }]`);
});

afterAll(async () => {
  if (python === undefined) return;
  await gateway?.stop();
  server?.stdin?.end();
  if (server?.exitCode === null) await once(server, "exit");
  rmSync(generated, { recursive: true });
});

async function call(
  path: string,
  init?: RequestInit,
): Promise<{ status: number; headers: Headers; json: unknown }> {
  const response = await fetch(gateway.url + path, init);
  return { status: response.status, headers: response.headers, json: await response.json() };
}

function post(path: string, body: unknown): ReturnType<typeof call> {
  return call(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

test(
  "a Python server answers REST, Connect and streams through the gateway",
  { skip: python === undefined },
  async () => {
    const created = await post("/v1/libraries/main/books", {
      title: "The Loom",
      authors: ["Ada", "Grace"],
      genre: "GENRE_FICTION",
    });
    expect(created.status).toBe(200);
    expect(created.json).toMatchObject({ name: "libraries/main/books/1", authors: ["Ada", "Grace"] });
    expect((created.json as { createTime: string }).createTime).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);

    const got = await call("/v1/libraries/main/books/1");
    expect([got.status, got.json]).toEqual([200, created.json]);
    expect(got.headers.get("grpc-trailer-x-shelf")).toBe("7");

    await post("/v1/libraries/main/books", { title: "Facts" });
    const fiction = await call("/v1/libraries/main/books?genre=GENRE_FICTION");
    expect(fiction.json).toEqual([created.json]);
    const all = await fetch(`${gateway.url}/v1/libraries/main/books`, {
      headers: { accept: "application/x-ndjson" },
    });
    expect((await all.text()).trimEnd().split("\n")).toHaveLength(2);

    const byConnect = await post("/library.v1.LibraryService/GetBook", { name: "libraries/main/books/1" });
    expect(byConnect.json).toMatchObject({ title: "The Loom" });
  },
);

test("its errors and the gateway's look alike", { skip: python === undefined }, async () => {
  const missing = await call("/v1/libraries/main/books/99");
  expect(missing.status).toBe(404);
  expect(missing.json).toEqual({ code: 5, message: "no book libraries/main/books/99", details: [] });
  const untitled = await post("/v1/libraries/main/books", {});
  expect([untitled.status, untitled.json]).toMatchObject([400, { code: 3, message: "a book needs a title" }]);
  const wrong = await call("/v1/libraries/main/books?genre=GENRE_SALAD");
  expect([wrong.status, wrong.json]).toMatchObject([400, { code: 3 }]);
});
