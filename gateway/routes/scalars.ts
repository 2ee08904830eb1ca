/**
 * Scalar values as ProtoJSON writes them, onto the wire. A value that is not exactly representable in the type is refused,
 * never rounded, cut or wrapped. Numbers may be strings, so the text of a parameter is read by the same rules.
 */
import { ScalarType } from "@bufbuild/protobuf";
import { WireType, type BinaryWriter } from "@bufbuild/protobuf/wire";

/** How a scalar type is read and written. */
export interface Scalar {
  readonly wireType: WireType;
  /** Writes a JSON value, without a tag; false, and nothing is written, if it does not fit. */
  write(writer: BinaryWriter, json: unknown): boolean;
  /** What fits, to complete "must be …". */
  readonly expected: string;
}

/** The rules of a scalar type. */
export function scalarOf(type: ScalarType): Scalar {
  return scalars[type];
}

const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const INTEGER = /^-?[0-9]{1,40}$/;
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;
const FLOAT_MAX = 3.4028234663852886e38;

type Write<T> = (writer: BinaryWriter, value: T) => unknown;

const int32 = (write: Write<number>, wireType: WireType = WireType.Varint): Scalar => ({
  wireType,
  expected: "an integer from -2147483648 to 2147483647",
  write: integer32(-2147483648, 2147483647, write),
});

const uint32 = (write: Write<number>, wireType: WireType = WireType.Varint): Scalar => ({
  wireType,
  expected: "an integer from 0 to 4294967295",
  write: integer32(0, 4294967295, write),
});

const int64 = (write: Write<bigint>, wireType: WireType = WireType.Varint): Scalar => ({
  wireType,
  expected: "a 64-bit integer, as a string if it is beyond 9007199254740991",
  write: integer64(-(2n ** 63n), 2n ** 63n - 1n, write),
});

const uint64 = (write: Write<bigint>, wireType: WireType = WireType.Varint): Scalar => ({
  wireType,
  expected: "an unsigned 64-bit integer, as a string if it is beyond 9007199254740991",
  write: integer64(0n, 2n ** 64n - 1n, write),
});

const scalars: Readonly<Record<ScalarType, Scalar>> = {
  [ScalarType.DOUBLE]: {
    wireType: WireType.Bit64,
    expected: 'a number, "NaN", "Infinity" or "-Infinity"',
    write: floating(Number.MAX_VALUE, (writer, value) => writer.double(value)),
  },
  [ScalarType.FLOAT]: {
    wireType: WireType.Bit32,
    expected: 'a number of single precision, "NaN", "Infinity" or "-Infinity"',
    write: floating(FLOAT_MAX, (writer, value) => writer.float(value)),
  },
  [ScalarType.INT64]: int64((writer, value) => writer.int64(value)),
  [ScalarType.SINT64]: int64((writer, value) => writer.sint64(value)),
  [ScalarType.SFIXED64]: int64((writer, value) => writer.sfixed64(value), WireType.Bit64),
  [ScalarType.UINT64]: uint64((writer, value) => writer.uint64(value)),
  [ScalarType.FIXED64]: uint64((writer, value) => writer.fixed64(value), WireType.Bit64),
  [ScalarType.INT32]: int32((writer, value) => writer.int32(value)),
  [ScalarType.SINT32]: int32((writer, value) => writer.sint32(value)),
  [ScalarType.SFIXED32]: int32((writer, value) => writer.sfixed32(value), WireType.Bit32),
  [ScalarType.UINT32]: uint32((writer, value) => writer.uint32(value)),
  [ScalarType.FIXED32]: uint32((writer, value) => writer.fixed32(value), WireType.Bit32),
  [ScalarType.BOOL]: {
    wireType: WireType.Varint,
    expected: "true or false",
    write(writer, json) {
      if (typeof json !== "boolean") return false;
      writer.bool(json);
      return true;
    },
  },
  [ScalarType.STRING]: {
    wireType: WireType.LengthDelimited,
    expected: "a string",
    write(writer, json) {
      if (typeof json !== "string") return false;
      writer.string(json);
      return true;
    },
  },
  [ScalarType.BYTES]: {
    wireType: WireType.LengthDelimited,
    expected: "base64, standard or URL-safe, with or without padding",
    write(writer, json) {
      if (typeof json !== "string" || !BASE64.test(json) || !hasWholeBytes(json)) return false;
      writer.bytes(Buffer.from(json, "base64"));
      return true;
    },
  },
};

/** Whether the length can be that of base64: no single character is left over, and padding, if any, is complete. */
function hasWholeBytes(base64: string): boolean {
  return base64.endsWith("=") ? base64.length % 4 === 0 : base64.length % 4 !== 1;
}

function integer32(min: number, max: number, write: Write<number>): Scalar["write"] {
  return (writer, json) => {
    const value = typeof json === "string" && NUMBER.test(json) ? Number(json) : json;
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) return false;
    write(writer, value);
    return true;
  };
}

function integer64(min: bigint, max: bigint, write: Write<bigint>): Scalar["write"] {
  return (writer, json) => {
    const value = bigintOf(json);
    if (value === undefined || value < min || value > max) return false;
    write(writer, value);
    return true;
  };
}

/** A JSON number beyond 2^53 was rounded when it was parsed, so it is refused rather than stored wrong. */
function bigintOf(json: unknown): bigint | undefined {
  if (typeof json === "number") return Number.isSafeInteger(json) ? BigInt(json) : undefined;
  if (typeof json !== "string") return undefined;
  if (INTEGER.test(json)) return BigInt(json);
  return NUMBER.test(json) ? bigintOf(Number(json)) : undefined;
}

function floating(max: number, write: Write<number>): Scalar["write"] {
  return (writer, json) => {
    const value = numberOf(json);
    if (value === undefined || (Number.isFinite(value) && Math.abs(value) > max)) return false;
    write(writer, value);
    return true;
  };
}

function numberOf(json: unknown): number | undefined {
  if (typeof json === "number") return Number.isFinite(json) ? json : undefined;
  if (typeof json !== "string") return undefined;
  if (json === "NaN" || json === "Infinity" || json === "-Infinity") return Number(json);
  const value = NUMBER.test(json) ? Number(json) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}
