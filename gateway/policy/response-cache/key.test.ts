import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ReadItemRequestSchema } from "../../../gen/ts/heddle/testing/v1/catalog_service_pb.ts";
import { method } from "./catalog.fixture.ts";
import { canonicalBytes, keyOf } from "./key.ts";

const request = (labels: Record<string, string> = {}, id = "1") =>
  create(ReadItemRequestSchema, { id, labels });

function keyWith(name: string, headers: Record<string, string>, message = request()): string {
  const { info, caching, input } = method(name);
  const bytes = toBinary(ReadItemRequestSchema, message);
  return keyOf(caching!.read!, info, fromBinary(input, bytes), new Headers(headers));
}

describe("keyOf", () => {
  test("names the method and fits the tier", () => {
    expect(keyWith("ReadItem", {})).toMatch(/^heddle\.testing\.v1\.CatalogService\/ReadItem:[\w-]{43}$/);
  });

  test("tells apart what may be answered differently, and nothing else", () => {
    const cases: [string, Record<string, string>, Record<string, string>, boolean][] = [
      ["ReadItem", {}, { authorization: "Bearer a" }, true],
      ["ReadItem", {}, { cookie: "a=1" }, true],
      ["ReadItem", {}, { "accept-language": "de" }, false],
      ["ReadItem", { "accept-language": "de" }, { "accept-language": "de" }, true],
      ["ReadItem", {}, { "x-request-id": "1", traceparent: "2", "user-agent": "3" }, true],
      ["ReadOwnItem", {}, { authorization: "Bearer a" }, false],
      ["ReadOwnItem", { authorization: "Bearer a" }, { authorization: "Bearer b" }, false],
      ["ReadOwnItem", { authorization: "Bearer a" }, { authorization: "Bearer a" }, true],
      ["ReadOwnItem", {}, { cookie: "session=1" }, false],
      ["ReadOwnItem", {}, { "x-api-key": "1" }, false],
      ["ReadOwnItem", { cookie: "s=1" }, { cookie: "heddle-db-token-shop=a:1; s=1" }, true],
      ["ReadOwnItem", {}, { cookie: "heddle-db-token-shop=a:1" }, true],
      ["ReadOwnItem", { authorization: "x" }, { "x-api-key": "x" }, false],
    ];
    for (const [name, one, other, isSame] of cases) {
      expect([one, other, keyWith(name, one) === keyWith(name, other)]).toEqual([one, other, isSame]);
    }
    expect(keyWith("ReadItem", {}, request({}, "2"))).not.toBe(keyWith("ReadItem", {}));
    expect(keyWith("ReadFleetingItem", {})).not.toBe(keyWith("ReadItem", {}));
  });

  test("does not depend on the order of map entries or of fields on the wire", () => {
    expect(keyWith("ReadItem", {}, request({ a: "1", b: "2" }))).toBe(
      keyWith("ReadItem", {}, request({ b: "2", a: "1" })),
    );
    const { input } = method("ReadItem");
    const swapped = Buffer.concat([
      toBinary(ReadItemRequestSchema, create(ReadItemRequestSchema, { labels: { a: "1" } })),
      toBinary(ReadItemRequestSchema, request({})),
    ]);
    expect(canonicalBytes(input, fromBinary(input, swapped))).toEqual(
      toBinary(ReadItemRequestSchema, request({ a: "1" })),
    );
  });

  test("keeps what this version of the schema does not know", () => {
    const { input } = method("ReadItem");
    const unknown = Buffer.concat([
      toBinary(ReadItemRequestSchema, request()),
      Buffer.from([0x98, 0x06, 0x01]),
    ]);
    expect(canonicalBytes(input, fromBinary(input, unknown))).toHaveLength(unknown.length);
  });
});
