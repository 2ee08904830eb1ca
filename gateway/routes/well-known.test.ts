import { fromBinary, type DescMessage } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { DurationSchema, FieldMaskSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { wellKnown } from "./well-known.ts";

function read(desc: DescMessage, json: unknown): unknown {
  const writer = new BinaryWriter();
  return wellKnown.get(desc.typeName)!.write(writer, json) ? fromBinary(desc, writer.finish()) : undefined;
}

describe("google.protobuf.Timestamp", () => {
  test.each([
    ["1970-01-01T00:00:00Z", 0n, 0],
    ["1970-01-01T00:00:00.000000001Z", 0n, 1],
    ["1969-12-31T23:59:59.5Z", -1n, 500_000_000],
    ["0001-01-01T00:00:00Z", -62135596800n, 0],
    ["9999-12-31T23:59:59.999999999Z", 253402300799n, 999_999_999],
    ["2024-02-29T00:00:00-05:30", 1709184600n, 0],
    ["2024-01-01T00:00:00+23:59", 1703980860n, 0],
  ])("is %s", (json, seconds, nanos) => {
    expect(read(TimestampSchema, json)).toMatchObject({ seconds, nanos });
  });

  test.each([
    "2023-02-29T00:00:00Z",
    "2024-04-31T00:00:00Z",
    "2024-13-01T00:00:00Z",
    "2024-00-01T00:00:00Z",
    "2024-01-00T00:00:00Z",
    "2024-01-01T24:00:00Z",
    "2024-01-01T00:60:00Z",
    "2024-01-01T00:00:60Z",
    "2024-01-01T00:00:00",
    "2024-01-01 00:00:00Z",
    "2024-01-01t00:00:00z",
    "2024-01-01T00:00:00.1234567890Z",
    "2024-01-01T00:00:00+24:00",
    "2024-01-01T00:00:00 02:00",
    "0000-12-31T23:59:59Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "",
    0,
    null,
    {},
  ])("is not %j", (json) => {
    expect(read(TimestampSchema, json)).toBeUndefined();
  });
});

describe("google.protobuf.Duration", () => {
  test.each([
    ["0s", 0n, 0],
    ["1.5s", 1n, 500_000_000],
    ["-1.5s", -1n, -500_000_000],
    ["-0.5s", 0n, -500_000_000],
    ["0.000000001s", 0n, 1],
    ["315576000000s", 315576000000n, 0],
    ["-315576000000s", -315576000000n, 0],
  ])("is %s", (json, seconds, nanos) => {
    expect(read(DurationSchema, json)).toMatchObject({ seconds, nanos });
  });

  test.each([
    "1",
    "1ms",
    "1.s",
    ".5s",
    "1sx",
    " 1s",
    "+1s",
    "1e3s",
    "1.0123456789s",
    "315576000000.1s",
    "315576000001s",
    1,
    null,
  ])("is not %j", (json) => {
    expect(read(DurationSchema, json)).toBeUndefined();
  });
});

describe("google.protobuf.FieldMask", () => {
  test.each([
    ["", []],
    ["a", ["a"]],
    ["fooBar.bazQux,x", ["foo_bar.baz_qux", "x"]],
    ["foo_bar.baz", ["foo_bar.baz"]],
  ])("is %j", (json, paths) => {
    expect(read(FieldMaskSchema, json)).toMatchObject({ paths });
  });

  test.each([",", "a,", "a b", "a..b", ".a", "1a", "*", "a-b", 1, null, ["a"]])("is not %j", (json) => {
    expect(read(FieldMaskSchema, json)).toBeUndefined();
  });
});
