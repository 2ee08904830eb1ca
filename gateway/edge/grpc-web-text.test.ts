import { ConnectError } from "@connectrpc/connect";
import { buffer } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { binaryType, decodeText, encodeText, isGrpcWebText, textTypeOf } from "./grpc-web-text.ts";

async function* pieces(text: string, size: number): AsyncIterable<Uint8Array> {
  for (let at = 0; at < text.length; at += size) yield Buffer.from(text.slice(at, at + size));
}

describe("decodeText", () => {
  const text = Buffer.from("hello").toString("base64") + Buffer.from("wo").toString("base64") + "cmxk";

  test.each([1, 2, 3, 4, 5, 100])("joins separately encoded parts, in pieces of %d", async (size) => {
    expect((await buffer(decodeText(pieces(text, size)))).toString()).toBe("helloworld");
  });

  test.each(["abc", "ab!=", "=abc", "a==="])("refuses %j", async (text) => {
    await expect(buffer(decodeText(pieces(text, 100)))).rejects.toThrow(ConnectError);
  });
});

describe("encodeText", () => {
  test("is undone by decodeText", async () => {
    expect((await buffer(decodeText(encodeText(pieces("some text", 4))))).toString()).toBe("some text");
  });
});

describe("media types", () => {
  test("change mode and nothing else", () => {
    expect(isGrpcWebText("application/grpc-web-text+proto")).toBe(true);
    expect(isGrpcWebText("application/grpc-web+proto")).toBe(false);
    expect(binaryType("application/grpc-web-text+proto")).toBe("application/grpc-web+proto");
    expect(textTypeOf("application/grpc-web+proto")).toBe("application/grpc-web-text+proto");
  });
});
