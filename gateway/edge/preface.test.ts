import { describe, expect, test } from "vitest";
import { httpVersionOf } from "./preface.ts";

describe("httpVersionOf", () => {
  test.each([
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04", "http2"],
    ["PRI * HTTP/2.0", "http2"],
    ["PRI", "http2"],
    ["PR", undefined],
    ["P", undefined],
    ["", undefined],
    ["POST / HTTP/1.1\r\n", "http1"],
    ["PROPFIND / HTTP/1.1\r\n", "http1"],
    ["G", "http1"],
  ])("takes %j for %s", (text, version) => {
    expect(httpVersionOf(Buffer.from(text))).toBe(version);
  });
});
