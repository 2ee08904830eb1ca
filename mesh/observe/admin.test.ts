import { afterAll, beforeAll, expect, test } from "vitest";
import { invalidArgument } from "../errors.ts";
import { listenAdmin, type Admin } from "./admin.ts";
import { createMetrics } from "./metrics.ts";

let admin: Admin;
beforeAll(async () => {
  admin = await listenAdmin("127.0.0.1:0", {
    metrics: createMetrics({ process: false }),
    notReady: () => undefined,
    actions: {
      "/echo": (body) => Promise.resolve({ body }),
      "/refuse": () => Promise.reject(invalidArgument({ field: "x", description: "is wrong" })),
      "/fail": () => Promise.reject(new Error("broken")),
    },
  });
});
afterAll(() => admin.close());

function post(path: string, body: string, type = "application/json") {
  return fetch(`http://${admin.address}${path}`, { method: "POST", headers: { "content-type": type }, body });
}

test("an action takes and gives JSON", async () => {
  const response = await post("/echo", '{"a":1}');
  expect([response.status, await response.json()]).toEqual([200, { body: { a: 1 } }]);
});

test.each([
  ["/echo", "{", "application/json", 400],
  ["/echo", `"${"x".repeat(300_000)}"`, "application/json", 400],
  ["/echo", "{}", "text/plain", 415],
  ["/refuse", "{}", "application/json", 400],
  ["/fail", "{}", "application/json", 500],
  ["/healthz", "{}", "application/json", 405],
])("posting to %s what is not taken is answered with its status", async (path, body, type, status) => {
  expect((await post(path, body, type)).status).toBe(status);
});

test("an action cannot be got", async () => {
  const response = await fetch(`http://${admin.address}/echo`);
  expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
});
