import { describe, expect, test } from "vitest";
import { negotiate } from "./accept.ts";

const offered = ["application/json", "application/x-ndjson", "text/event-stream"] as const;

describe("negotiate", () => {
  test.each([
    [undefined, "application/json"],
    ["", "application/json"],
    ["*/*", "application/json"],
    ["application/json", "application/json"],
    ["application/x-ndjson", "application/x-ndjson"],
    ["text/event-stream", "text/event-stream"],
    ["text/*", "text/event-stream"],
    ["Text/Event-Stream ; q=1.0", "text/event-stream"],
    ["application/json;q=0.5, text/event-stream", "text/event-stream"],
    ["text/html, application/xhtml+xml, */*;q=0.1", "application/json"],
    ["application/*;q=0.9, application/json;q=0.1", "application/x-ndjson"],
    ["application/json;q=0, */*", "application/x-ndjson"],
    ["application/json; charset=utf-8", "application/json"],
    ["text/html", undefined],
    ["application/json;q=0", undefined],
    ["application/json;q=2", undefined],
    [",;", undefined],
  ])("chooses for %j: %s", (accept, type) => {
    expect(negotiate(accept, [...offered])).toBe(type);
  });
});
