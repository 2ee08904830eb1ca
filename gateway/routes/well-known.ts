/** The well-known types that ProtoJSON writes as one value, onto the wire. Wrappers and Any need descriptors and are elsewhere. */
import { WireType, type BinaryWriter } from "@bufbuild/protobuf/wire";

/** How a type is read and written. */
export interface WellKnown {
  /** Writes the fields of the message; false if the JSON value does not fit. What was written then must be dropped. */
  write(writer: BinaryWriter, json: unknown): boolean;
  /** What fits, to complete "must be …". */
  readonly expected: string;
}

/** The types, by full name. */
export const wellKnown: ReadonlyMap<string, WellKnown> = new Map<string, WellKnown>([
  [
    "google.protobuf.Timestamp",
    { expected: "a time such as 2026-01-31T12:00:00.5Z, from year 1 to 9999", write: writeTimestamp },
  ],
  [
    "google.protobuf.Duration",
    { expected: "seconds such as 1.5s, within 315576000000s", write: writeDuration },
  ],
  [
    "google.protobuf.FieldMask",
    { expected: "field paths such as lines,totalPrice.units", write: writeFieldMask },
  ],
  [
    "google.protobuf.Struct",
    { expected: "a JSON object, nested less than 100 deep", write: (w, json) => writeStruct(w, json, 0) },
  ],
  [
    "google.protobuf.Value",
    { expected: "JSON, nested less than 100 deep", write: (w, json) => writeValue(w, json, 0) },
  ],
  [
    "google.protobuf.ListValue",
    { expected: "a JSON array, nested less than 100 deep", write: (w, json) => writeList(w, json, 0) },
  ],
]);

const TIME = /^(\d{4}-(\d{2})-(\d{2}))T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:Z|([+-])(\d{2}):(\d{2}))$/;
const SPAN = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/;
const PATH = /^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*$/;

const MIN_TIME_SECONDS = -62135596800;
const MAX_TIME_SECONDS = 253402300799;
const MAX_SPAN_SECONDS = 315_576_000_000;
const MAX_DEPTH = 100;

function writeTimestamp(writer: BinaryWriter, json: unknown): boolean {
  const match = typeof json === "string" ? TIME.exec(json) : null;
  if (match === null) return false;
  const [, date = "", month, day, hour, minute, second, fraction, sign, offsetHours = 0, offsetMinutes = 0] =
    match;
  // The engine would take 30 February for 1 March and 24:00 for the next day.
  const midnight = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(midnight.getTime()) || midnight.getUTCMonth() + 1 !== Number(month)) return false;
  if (
    midnight.getUTCDate() !== Number(day) ||
    Number(hour) > 23 ||
    Number(minute) > 59 ||
    Number(second) > 59
  ) {
    return false;
  }
  if (Number(offsetHours) > 23 || Number(offsetMinutes) > 59) return false;
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === "-" ? -60 : 60);
  const seconds =
    midnight.getTime() / 1000 + Number(hour) * 3600 + Number(minute) * 60 + Number(second) - offset;
  if (seconds < MIN_TIME_SECONDS || seconds > MAX_TIME_SECONDS) return false;
  writeSecondsAndNanos(writer, seconds, nanosOf(fraction));
  return true;
}

function writeDuration(writer: BinaryWriter, json: unknown): boolean {
  const match = typeof json === "string" ? SPAN.exec(json) : null;
  if (match === null) return false;
  const [, minus, whole, fraction] = match;
  const sign = minus === "-" ? -1 : 1;
  const seconds = Number(whole);
  const nanos = nanosOf(fraction);
  if (seconds > MAX_SPAN_SECONDS || (seconds === MAX_SPAN_SECONDS && nanos > 0)) return false;
  writeSecondsAndNanos(writer, sign * seconds, sign * nanos);
  return true;
}

function nanosOf(fraction = ""): number {
  return Number(fraction.padEnd(9, "0"));
}

function writeSecondsAndNanos(writer: BinaryWriter, seconds: number, nanos: number): void {
  if (seconds !== 0) writer.tag(1, WireType.Varint).int64(seconds);
  if (nanos !== 0) writer.tag(2, WireType.Varint).int32(nanos);
}

/** In JSON paths are in camel case. Those with an underscore can only be the names in the .proto, and are taken as such. */
function writeFieldMask(writer: BinaryWriter, json: unknown): boolean {
  if (typeof json !== "string") return false;
  if (json === "") return true;
  const paths = json.split(",");
  if (!paths.every((path) => PATH.test(path))) return false;
  for (const path of paths) writer.tag(1, WireType.LengthDelimited).string(snakeCase(path));
  return true;
}

function snakeCase(path: string): string {
  return path.includes("_") ? path : path.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function writeStruct(writer: BinaryWriter, json: unknown, depth: number): boolean {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return false;
  for (const [key, value] of Object.entries(json)) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key);
    writer.tag(2, WireType.LengthDelimited).fork();
    if (!writeValue(writer, value, depth + 1)) return false;
    writer.join().join();
  }
  return true;
}

function writeList(writer: BinaryWriter, json: unknown, depth: number): boolean {
  if (!Array.isArray(json)) return false;
  for (const value of json) {
    writer.tag(1, WireType.LengthDelimited).fork();
    if (!writeValue(writer, value, depth + 1)) return false;
    writer.join();
  }
  return true;
}

function writeValue(writer: BinaryWriter, json: unknown, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  switch (typeof json) {
    case "number":
      writer.tag(2, WireType.Bit64).double(json);
      return true;
    case "string":
      writer.tag(3, WireType.LengthDelimited).string(json);
      return true;
    case "boolean":
      writer.tag(4, WireType.Varint).bool(json);
      return true;
    default:
      return writeComposite(writer, json, depth);
  }
}

function writeComposite(writer: BinaryWriter, json: unknown, depth: number): boolean {
  if (json === null) {
    writer.tag(1, WireType.Varint).int32(0);
    return true;
  }
  const list = Array.isArray(json);
  writer.tag(list ? 6 : 5, WireType.LengthDelimited).fork();
  if (!(list ? writeList(writer, json, depth) : writeStruct(writer, json, depth))) return false;
  writer.join();
  return true;
}
