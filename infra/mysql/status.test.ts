import { expect, test } from "vitest";
import { statusOf, statusRows } from "./status.ts";

test("a member that does not answer is DOWN and takes no writes", () => {
  const silent = { name: "127.0.0.1:3311", report: undefined, isBusy: false, sinceMs: 0, retryAtMs: 0 };
  const status = statusOf([silent], { health: "forming", why: "it does not answer", actions: [] });
  expect(status).toMatchObject({ health: "forming", why: "it does not answer" });
  expect(statusRows(status)[1]).toEqual(["127.0.0.1:3311", "DOWN", "", "refused", "0", ""]);
});
