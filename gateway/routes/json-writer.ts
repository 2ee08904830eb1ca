/**
 * Reads ProtoJSON and writes it to the wire, in one pass and without a message in between. Each message type is compiled
 * once, on first use. Everything that is wrong is reported with its path, not only the first thing.
 */
import {
  ScalarType,
  type DescEnum,
  type DescField,
  type DescMessage,
  type Registry,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { scalarOf } from "./scalars.ts";
import { wellKnown } from "./well-known.ts";

/** What readers need beside the JSON. */
export interface JsonContext {
  /** Keys and indices that lead to the value being read. */
  readonly path: (string | number)[];
  /** Whether keys that the message does not have are skipped instead of reported. */
  readonly ignoreUnknown: boolean;
  /** Types within `google.protobuf.Any`. */
  readonly registry: Registry;
  /** Reports what is wrong with the value at `path`. */
  fail(description: string): void;
}

/** Reads a JSON value and writes it. After `fail` what was written is useless. */
export type WriteJson = (writer: BinaryWriter, json: unknown, context: JsonContext) => void;

/** A field that can be read from JSON. */
export interface JsonField {
  readonly desc: DescField;
  /** Writes the field with its tag; nothing for null, which means absent. */
  readonly write: WriteJson;
}

const MAX_DEPTH = 100;

const messageWriters = new WeakMap<DescMessage, WriteJson>();

/** Writes the fields of a message, without tag or length. */
export function messageWriter(desc: DescMessage): WriteJson {
  let write = messageWriters.get(desc);
  if (write === undefined) {
    // Registered before it is compiled, because a message may contain itself.
    let compiled: WriteJson | undefined;
    write = (writer, json, context) => (compiled ??= compileMessage(desc))(writer, json, context);
    messageWriters.set(desc, write);
  }
  return write;
}

/** Writes a field with its tag. */
export function fieldWriter(desc: DescField): WriteJson {
  switch (desc.fieldKind) {
    case "list":
      return listWriter(desc);
    case "map":
      return mapWriter(desc);
    default: {
      const value = valueOf(desc);
      const tag = tagOf(desc.number, value.wireType);
      return (writer, json, context) => {
        if (json !== null || value.takesNull) value.write(writer.uint32(tag), json, context);
      };
    }
  }
}

/** One value, without its tag. */
interface Value {
  readonly wireType: WireType;
  readonly takesNull: boolean;
  readonly write: WriteJson;
}

interface ValueDesc {
  readonly scalar?: ScalarType | undefined;
  readonly enum?: DescEnum | undefined;
  readonly message?: DescMessage | undefined;
}

function valueOf(desc: ValueDesc & { readonly delimitedEncoding?: boolean; readonly number: number }): Value {
  if (desc.enum !== undefined) return enumValue(desc.enum);
  if (desc.message === undefined) return scalarValue(desc.scalar ?? ScalarType.STRING);
  const fields = messageWriter(desc.message);
  const takesNull = desc.message.typeName === "google.protobuf.Value";
  if (desc.delimitedEncoding === true) {
    const end = tagOf(desc.number, WireType.EndGroup);
    const write: WriteJson = (writer, json, context) => {
      fields(writer, json, context);
      writer.uint32(end);
    };
    return { wireType: WireType.StartGroup, takesNull, write };
  }
  const write: WriteJson = (writer, json, context) => {
    writer.fork();
    fields(writer, json, context);
    writer.join();
  };
  return { wireType: WireType.LengthDelimited, takesNull, write };
}

function scalarValue(type: ScalarType): Value {
  const scalar = scalarOf(type);
  const write: WriteJson = (writer, json, context) => {
    if (!scalar.write(writer, json)) context.fail(`must be ${scalar.expected}`);
  };
  return { wireType: scalar.wireType, takesNull: false, write };
}

function enumValue(desc: DescEnum): Value {
  const numbers = new Map(
    desc.values.flatMap((value) => [
      [value.jsonName, value.number],
      [value.name, value.number],
    ]),
  );
  const isNull = desc.typeName === "google.protobuf.NullValue";
  const int32 = scalarOf(ScalarType.INT32);
  const write: WriteJson = (writer, json, context) => {
    if (isNull && json === null) return void writer.int32(0);
    const number = typeof json === "string" ? numbers.get(json) : json;
    const declared = desc.open || (typeof number === "number" && desc.value[number] !== undefined);
    if (typeof number !== "number" || !declared || !int32.write(writer, number)) {
      context.fail(`must be ${expectedEnum(desc)}`);
    }
  };
  return { wireType: WireType.Varint, takesNull: isNull, write };
}

/** What fits an enum, to complete "must be …". */
export function expectedEnum(desc: DescEnum): string {
  const names = desc.values.slice(0, 8).map(({ name }) => name);
  return `one of ${names.join(", ")}${desc.values.length > names.length ? ", …" : ""}`;
}

function listWriter(desc: DescField & { fieldKind: "list" }): WriteJson {
  const value = valueOf(desc);
  const tag = tagOf(desc.number, value.wireType);
  const packedTag = desc.packed ? tagOf(desc.number, WireType.LengthDelimited) : undefined;
  return (writer, json, context) => {
    if (json === null) return;
    if (!Array.isArray(json)) return context.fail("must be an array");
    if (json.length === 0) return;
    if (packedTag !== undefined) writer.uint32(packedTag).fork();
    for (let i = 0; i < json.length; i++) {
      context.path.push(i);
      if (json[i] === null && !value.takesNull) context.fail("must not be null");
      else value.write(packedTag === undefined ? writer.uint32(tag) : writer, json[i], context);
      context.path.pop();
    }
    if (packedTag !== undefined) writer.join();
  };
}

function mapWriter(desc: DescField & { fieldKind: "map" }): WriteJson {
  const key = scalarOf(desc.mapKey);
  const value = valueOf({ scalar: desc.scalar, enum: desc.enum, message: desc.message, number: 2 });
  const tag = tagOf(desc.number, WireType.LengthDelimited);
  const keyTag = tagOf(1, key.wireType);
  const valueTag = tagOf(2, value.wireType);
  return (writer, json, context) => {
    if (json === null) return;
    if (!isObject(json)) return context.fail("must be an object");
    for (const [name, item] of Object.entries(json)) {
      context.path.push(name);
      writer.uint32(tag).fork().uint32(keyTag);
      if (!key.write(writer, desc.mapKey === ScalarType.BOOL ? booleanOf(name) : name)) {
        context.fail(`the key must be ${key.expected}`);
      }
      if (item === null && !value.takesNull) context.fail("must not be null");
      else value.write(writer.uint32(valueTag), item, context);
      writer.join();
      context.path.pop();
    }
  };
}

function compileMessage(desc: DescMessage): WriteJson {
  if (desc.typeName === "google.protobuf.Any") return writeAny;
  const special = wellKnown.get(desc.typeName);
  if (special !== undefined) {
    return (writer, json, context) => {
      if (!special.write(writer, json)) context.fail(`must be ${special.expected}`);
    };
  }
  const [wrapped] = desc.fields;
  if (isWrapperDesc(desc) && wrapped !== undefined) return fieldWriter(wrapped);
  return fieldsWriter(desc);
}

function fieldsWriter(desc: DescMessage): WriteJson {
  const fields = new Map<string, JsonField>();
  const compiled = desc.fields.map((field) => ({ desc: field, write: fieldWriter(field) }));
  for (const field of compiled) fields.set(field.desc.name, field);
  for (const field of compiled) fields.set(field.desc.jsonName, field);
  const hasOneofs = desc.oneofs.length > 0;
  return (writer, json, context) => {
    if (!isObject(json)) return context.fail("must be an object");
    if (context.path.length > MAX_DEPTH) return context.fail(`is nested more than ${MAX_DEPTH} deep`);
    const taken = hasOneofs ? new Map<unknown, string>() : undefined;
    for (const key of Object.keys(json)) {
      const field = fields.get(key);
      context.path.push(key);
      if (field !== undefined) writeMember(writer, field, key, json, taken, context);
      else if (!context.ignoreUnknown) context.fail("there is no such field");
      context.path.pop();
    }
  };
}

function writeMember(
  writer: BinaryWriter,
  { desc, write }: JsonField,
  key: string,
  json: Readonly<Record<string, unknown>>,
  taken: Map<unknown, string> | undefined,
  context: JsonContext,
): void {
  const value = json[key];
  if (key !== desc.jsonName && Object.hasOwn(json, desc.jsonName)) {
    return context.fail(`the same field as ${desc.jsonName}, given twice`);
  }
  if (desc.oneof !== undefined && taken !== undefined && value !== null) {
    const other = taken.get(desc.oneof);
    if (other !== undefined) return context.fail(`cannot be given together with ${other}`);
    taken.set(desc.oneof, key);
  }
  write(writer, value, context);
}

const writeAny: WriteJson = (writer, json, context) => {
  if (!isObject(json)) return context.fail('must be an object with "@type"');
  const { "@type": url, ...fields } = json;
  if (url === undefined && Object.keys(fields).length === 0) return;
  const desc =
    typeof url === "string" ? context.registry.getMessage(url.slice(url.lastIndexOf("/") + 1)) : undefined;
  if (typeof url !== "string" || desc === undefined) {
    return context.fail(
      '"@type" must be the URL of a known message type, such as type.googleapis.com/google.type.Money',
    );
  }
  const inner = new BinaryWriter();
  if (isSingleValue(desc)) messageWriter(desc)(inner, fields["value"], context);
  else messageWriter(desc)(inner, fields, context);
  writer.tag(1, WireType.LengthDelimited).string(url);
  writer.tag(2, WireType.LengthDelimited).bytes(inner.finish());
};

/** Whether ProtoJSON writes the type as one value rather than as an object of its fields. */
export function isSingleValue(desc: DescMessage): boolean {
  return wellKnown.has(desc.typeName) || desc.typeName === "google.protobuf.Any" || isWrapperDesc(desc);
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function booleanOf(text: string): unknown {
  return text === "true" ? true : text === "false" ? false : text;
}

function tagOf(number: number, wireType: WireType): number {
  return ((number << 3) | wireType) >>> 0;
}
