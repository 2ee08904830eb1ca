import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { parseGrpcTimeout, parseRequestTimeout, unaryTimeoutMs } from "./timeout.ts";

describe("parseGrpcTimeout", () => {
  test.each([
    ["1S", 1000],
    ["250m", 250],
    ["2M", 120_000],
    ["1H", 3_600_000],
    ["500u", 0.5],
    ["1000000n", 1],
    ["0m", 0],
    ["99999999m", 99_999_999],
  ])("reads %s as %d ms", (text, ms) => {
    expect(parseGrpcTimeout(text)).toBeCloseTo(ms, 9);
  });

  test.each(["", "1", "S", "1s", "-1S", "1.5S", "999999999S", "1S ", "١S"])("refuses %j", (text) => {
    expect(() => parseGrpcTimeout(text)).toThrow(ConnectError);
  });
});

describe("parseRequestTimeout", () => {
  test.each([
    ["2", 2000],
    ["0.25", 250],
    ["250ms", 250],
    ["1.5s", 1500],
    ["1m", 60_000],
  ])("reads %s as %d ms", (text, ms) => {
    expect(parseRequestTimeout(text)).toBe(ms);
  });

  test.each(["", "-1", "1h", "abc", "1e3", "1..2", ".5"])("refuses %j with 400", (text) => {
    expect(() => parseRequestTimeout(text)).toThrow(
      expect.objectContaining({ code: Code.InvalidArgument }) as ConnectError,
    );
  });
});

describe("unaryTimeoutMs", () => {
  const limits = { defaultTimeoutMs: 15_000, maxTimeoutMs: 60_000 };
  test("takes the default, what is asked, and at most the maximum", () => {
    expect(unaryTimeoutMs(undefined, limits)).toBe(15_000);
    expect(unaryTimeoutMs(20, limits)).toBe(20);
    expect(unaryTimeoutMs(120_000, limits)).toBe(60_000);
    expect(unaryTimeoutMs(undefined, { defaultTimeoutMs: 90_000, maxTimeoutMs: 60_000 })).toBe(60_000);
  });
});
