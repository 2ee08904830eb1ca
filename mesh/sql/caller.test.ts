import { expect, test } from "vitest";
import { callerConsistency } from "./caller.ts";
import { inSession, Tokens } from "./consistency.ts";

const order = { name: "order" };

test("a caller without a token of this schema is served by the primary", () => {
  expect(callerConsistency(order)).toBe("primary");
  const tokens = new Tokens();
  tokens.read("inventory=3f6a2b52-5a53-4c6e-9f6d-0b7f6d9f1a01:1-5");
  expect(inSession(() => callerConsistency(order), tokens)).toBe("primary");
});

test("a caller with one is served by whoever has caught up with it", () => {
  const tokens = new Tokens();
  tokens.read("order=3f6a2b52-5a53-4c6e-9f6d-0b7f6d9f1a01:1-5");
  expect(inSession(() => callerConsistency(order), tokens)).toBe("session");
});
