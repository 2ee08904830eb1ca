import { create, fromBinary, fromJson, toJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { NullValue } from "@bufbuild/protobuf/wkt";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SampleSchema } from "../../gen/ts/heddle/testing/v1/echo_pb.ts";
import { echoTable } from "./echo.fixture.ts";
import { messageWriter } from "./json-writer.ts";

const registry = echoTable.registry;

/** Writes JSON as a Sample, with what was wrong. */
function write(json: unknown): { bytes: Uint8Array; failures: string[] } {
  const failures: string[] = [];
  const writer = new BinaryWriter();
  messageWriter(SampleSchema)(writer, json, {
    path: [],
    ignoreUnknown: false,
    registry,
    fail: (description) => failures.push(description),
  });
  return { bytes: writer.finish(), failures };
}

/** Messages are compared as JSON: within an Any the same message may have several encodings. */
function printed(bytes: Uint8Array): JsonValue {
  return toJson(SampleSchema, fromBinary(SampleSchema, bytes), { registry });
}

const text = fc.string({ unit: "grapheme" });
const long = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
const ulong = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
const float = fc.float({ noNaN: true, noDefaultInfinity: true });
const double = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom("NaN", "Infinity", "-Infinity"),
);
const int = fc.integer();
const uint = fc.nat({ max: 4294967295 });
const bytes = fc.uint8Array().map((array) => Buffer.from(array).toString("base64"));
const color = fc.constantFrom<JsonValue>("COLOR_UNSPECIFIED", "COLOR_RED", "COLOR_GREEN", 3, 77);
const time = fc
  .date({ min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true })
  .map((date) => date.toISOString());
const span = fc
  .tuple(
    fc.constantFrom("", "-"),
    fc.nat({ max: 315_576_000 }),
    fc.constantFrom("", ".5", ".000000001", ".123456789"),
  )
  .map((parts) => `${parts.join("")}s`);
const { nested, any } = fc.letrec<{ nested: JsonObject; any: JsonValue }>((tie) => ({
  nested: fc.record(
    {
      name: text,
      number: int,
      tags: fc.array(text),
      deeper: fc.option(tie("nested"), { nil: null, maxDepth: 3 }),
    },
    { requiredKeys: [] },
  ),
  any: fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<JsonValue>,
}));
const object = fc.dictionary(text, any, { maxKeys: 3 });

const sample = fc.record(
  {
    text,
    int32: int,
    int64: long,
    uint32: uint,
    uint64: ulong,
    sint32: int,
    sint64: long,
    fixed32: uint,
    fixed64: ulong,
    sfixed32: int,
    sfixed64: long,
    float,
    double,
    bool: fc.boolean(),
    bytes,
    color,
    nested,
    optionalText: text,
    otherName: text,
    texts: fc.array(text),
    numbers: fc.array(int),
    colors: fc.array(color),
    nesteds: fc.array(nested, { maxLength: 3 }),
    labels: fc.dictionary(text, text),
    nestedById: fc.dictionary(int.map(String), nested, { maxKeys: 3 }),
    choiceNested: nested,
    timestamp: time,
    duration: span,
    mask: fc
      .array(fc.constantFrom("a", "aB", "aB.cD", "x1"), { minLength: 1 })
      .map((paths) => paths.join(",")),
    struct: object,
    value: any,
    list: fc.array(any, { maxLength: 3 }),
    any: nested.map((fields) => ({ ...fields, "@type": "type.googleapis.com/heddle.testing.v1.Nested" })),
    timestamps: fc.array(time),
    stringValue: text,
    int32Value: int,
    int64Value: long,
    boolValue: fc.boolean(),
    bytesValue: bytes,
    doubleValue: double,
  },
  { requiredKeys: [] },
);

describe("messageWriter", () => {
  test("writes the message that protobuf-es reads from the same JSON", () => {
    fc.assert(
      fc.property(sample, (json) => {
        const { bytes, failures } = write(json);
        expect(failures).toEqual([]);
        expect(printed(bytes)).toEqual(
          toJson(SampleSchema, fromJson(SampleSchema, json as JsonObject, { registry }), { registry }),
        );
      }),
      { numRuns: 300 },
    );
  });

  test("takes what protobuf-es writes, in camel case and with the names of the .proto", () => {
    fc.assert(
      fc.property(sample, fc.boolean(), fc.boolean(), (json, useProtoFieldName, alwaysEmitImplicit) => {
        const message = fromJson(SampleSchema, json as JsonObject, { registry });
        const { bytes, failures } = write(
          toJson(SampleSchema, message, { registry, useProtoFieldName, alwaysEmitImplicit }),
        );
        expect(failures).toEqual([]);
        expect(printed(bytes)).toEqual(toJson(SampleSchema, message, { registry }));
      }),
    );
  });

  test("never throws, whatever the JSON", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom(...SampleSchema.fields.map(({ name }) => name)), any),
        (json) => {
          const { bytes, failures } = write(json);
          if (failures.length === 0) fromBinary(SampleSchema, bytes);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("writes nothing for null", () => {
    const nulls = Object.fromEntries(SampleSchema.fields.map(({ jsonName }) => [jsonName, null]));
    const { bytes, failures } = write(nulls);
    expect(failures).toEqual([]);
    // Of a google.protobuf.Value null is a value like any other.
    const value = { kind: { case: "nullValue", value: NullValue.NULL_VALUE } } as const;
    expect(fromBinary(SampleSchema, bytes)).toEqual(create(SampleSchema, { value }));
  });
});
