import { describe, expect, test } from "vitest";
import { streamFormat, type StreamType } from "./stream-formats.ts";

function written(
  type: StreamType,
  messages: readonly string[],
  error?: string,
  resumedAfter: string | null = null,
) {
  const format = streamFormat(type, resumedAfter);
  const body = messages.map((json, index) => format.message(json, index + 1)).join("");
  const end = error === undefined ? format.closing(messages.length) : format.error(error, messages.length);
  return format.opening + body + end;
}

describe("streamFormat", () => {
  test("writes an array that parses", () => {
    expect(JSON.parse(written("application/json", []))).toEqual([]);
    expect(JSON.parse(written("application/json", ["1", "2", "3"]))).toEqual([1, 2, 3]);
  });

  test("leaves an array open after an error, with the error as its last element", () => {
    expect(streamFormat("application/json", null).breaksOnError).toBe(true);
    for (const messages of [[], ["1", "2"]]) {
      const text = written("application/json", messages, '{"code":13}');
      expect(() => JSON.parse(text) as unknown).toThrow();
      expect(JSON.parse(`${text}]`)).toEqual([...messages.map(Number), { error: { code: 13 } }]);
    }
  });

  test("writes lines", () => {
    expect(written("application/x-ndjson", ["1", "2"])).toBe("1\n2\n");
    expect(written("application/x-ndjson", ["1"], '{"code":13}')).toBe('1\n{"error":{"code":13}}\n');
  });

  test("writes events, numbered on after what the service has resumed after", () => {
    expect(written("text/event-stream", ["1", "2"])).toBe(
      "id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nevent: end\ndata: {}\n\n",
    );
    expect(written("text/event-stream", ["1"], "{}", "41")).toBe(
      "id: 42\ndata: 1\n\nevent: error\ndata: {}\n\n",
    );
    expect(written("text/event-stream", ["1"], "{}", "x")).toMatch(/^id: 1\n/);
  });
});
