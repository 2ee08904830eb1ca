import { describe, expect, test } from "vitest";
import { childOf, formatTraceparent, parseTraceparent, traceOf } from "./trace.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

describe("parseTraceparent", () => {
  test.each([
    ["a sampled trace", `00-${TRACE}-${SPAN}-01`, true],
    ["one that is not sampled", `00-${TRACE}-${SPAN}-00`, false],
    ["flags that are not known yet", `00-${TRACE}-${SPAN}-03`, true],
    ["a later version with more fields", `cc-${TRACE}-${SPAN}-01-what-may-come`, true],
  ])("reads %s", (_, text, sampled) => {
    expect(parseTraceparent(text)).toEqual({ traceId: TRACE, spanId: SPAN, sampled });
  });

  test.each([
    ["nothing", ""],
    ["the forbidden version", `ff-${TRACE}-${SPAN}-01`],
    ["more fields than version 00 has", `00-${TRACE}-${SPAN}-01-more`],
    ["upper case", `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ["a trace id of zeros", `00-${"0".repeat(32)}-${SPAN}-01`],
    ["a span id of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["a short id", `00-${TRACE.slice(1)}-${SPAN}-01`],
  ])("refuses %s", (_, text) => {
    expect(parseTraceparent(text)).toBeUndefined();
  });
});

describe("traceOf", () => {
  test("makes a child of the caller's operation and keeps tracestate", () => {
    const trace = traceOf(`00-${TRACE}-${SPAN}-01`, "vendor=1");
    expect(trace).toMatchObject({ traceId: TRACE, parentSpanId: SPAN, sampled: true, state: "vendor=1" });
    expect(trace.spanId).toMatch(/^[0-9a-f]{16}$/);
    expect(trace.spanId).not.toBe(SPAN);
  });

  test("begins a new trace where there is none, or a malformed one", () => {
    for (const text of [undefined, "garbage"]) {
      const trace = traceOf(text, "vendor=1");
      expect(trace.parentSpanId).toBeUndefined();
      expect(trace.state).toBeUndefined();
      expect(parseTraceparent(formatTraceparent(trace))).toMatchObject({ traceId: trace.traceId });
    }
  });
});

test("ids are never the same twice", () => {
  const root = traceOf(undefined);
  const ids = Array.from({ length: 5000 }, () => childOf(root).spanId);
  expect(new Set(ids).size).toBe(5000);
});
