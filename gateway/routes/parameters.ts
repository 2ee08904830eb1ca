/**
 * Path variables and query parameters: from a name and a text to a field of the request message on the wire. A name is
 * resolved against the descriptors once; nested messages are written once for each parameter, and the receiver merges them.
 */
import { ScalarType, type DescField, type DescMessage } from "@bufbuild/protobuf";
import { WireType, type BinaryWriter } from "@bufbuild/protobuf/wire";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { expectedEnum, fieldWriter, isSingleValue, type JsonContext } from "./json-writer.ts";

/** A field that a parameter can set. */
export interface Parameter {
  /** Names of the fields that lead to it, as in the .proto, joined by dots. */
  readonly name: string;
  /** Whether it may be given more than once. */
  readonly repeated: boolean;
  /** Whether it is a well-known message type, written as one value. */
  readonly message: boolean;
  /** The oneof choices it stands for, from the outside in. */
  readonly choices: readonly OneofChoice[];
  /** Writes the field, and the messages around it. */
  write(writer: BinaryWriter, text: string, context: JsonContext): void;
}

/** Which member of which oneof a parameter chooses. */
export interface OneofChoice {
  /** Path of the oneof. */
  readonly oneof: string;
  /** Path of the member. */
  readonly member: string;
}

/** No parameter, and why. */
export interface NoParameter {
  readonly problem: string;
}

/** How a component of a name finds its field. */
export type FindField = (message: DescMessage, name: string) => DescField | undefined;

/** By the name in the .proto, which is what templates use. */
export const byProtoName: FindField = (message, name) => message.fields.find((field) => field.name === name);

/** By the name in the .proto, else by the JSON name. */
export const byEitherName: FindField = (message, name) =>
  byProtoName(message, name) ?? message.fields.find((field) => field.jsonName === name);

const MAX_DEPTH = 32;

/** Finds the field that a name means, and compiles how to write it. */
export function resolveParameter(
  message: DescMessage,
  path: readonly string[],
  find: FindField,
): Parameter | NoParameter {
  const fields: DescField[] = [];
  let parent = message;
  if (path.length > MAX_DEPTH) return { problem: `is nested more than ${MAX_DEPTH} deep` };
  for (const [index, component] of path.entries()) {
    const field = find(parent, component);
    if (field === undefined) return { problem: "there is no such field" };
    fields.push(field);
    if (index === path.length - 1) break;
    if (field.fieldKind !== "message" || isSingleValue(field.message)) {
      return { problem: unreachable(field, fields) };
    }
    parent = field.message;
  }
  const leaf = fields.at(-1);
  const problem = leaf === undefined ? "there is no such field" : unfit(leaf);
  if (leaf === undefined || problem !== undefined) return { problem: problem ?? "" };
  return {
    name: fields.map(({ name }) => name).join("."),
    repeated: leaf.fieldKind === "list",
    message: leaf.message !== undefined,
    choices: choicesOf(fields),
    write: nested(fields.slice(0, -1), textWriter(leaf)),
  };
}

function unreachable(field: DescField, fields: readonly DescField[]): string {
  const name = fields.map(({ name }) => name).join(".");
  if (field.fieldKind === "map") return `${name} is a map, which cannot be a parameter`;
  if (field.fieldKind === "list") return `${name} is repeated; its parts cannot be parameters`;
  return `${name} has no fields of its own`;
}

function unfit(field: DescField): string | undefined {
  if (field.fieldKind === "map") return "a map cannot be a parameter";
  if (field.message === undefined) return undefined;
  if (field.fieldKind === "list") return "a repeated message cannot be a parameter";
  if (field.message.typeName === "google.protobuf.Any") return "a message of any type cannot be a parameter";
  if (isSingleValue(field.message)) return undefined;
  const [first] = field.message.fields;
  return `is a message; name its fields one by one${first === undefined ? "" : `, such as ${field.name}.${first.name}`}`;
}

function choicesOf(fields: readonly DescField[]): OneofChoice[] {
  const choices: OneofChoice[] = [];
  let prefix = "";
  for (const { name, oneof } of fields) {
    if (oneof !== undefined) choices.push({ oneof: prefix + oneof.name, member: prefix + name });
    prefix += `${name}.`;
  }
  return choices;
}

/** Wraps a writer in the messages around its field. */
function nested(parents: readonly DescField[], write: Parameter["write"]): Parameter["write"] {
  if (parents.length === 0) return write;
  return (writer, text, context) => {
    for (const { number } of parents) writer.tag(number, WireType.LengthDelimited).fork();
    write(writer, text, context);
    for (const _ of parents) writer.join();
  };
}

/** Writes one value of a field. Of a repeated field each value is written for itself, which every receiver understands. */
function textWriter(field: DescField): Parameter["write"] {
  const write = fieldWriter(field);
  const list = field.fieldKind === "list";
  const toJson = textReader(field);
  return (writer, text, context) => {
    const json = toJson(text, context);
    if (json !== undefined) write(writer, list ? [json] : json, context);
  };
}

/** The JSON value that a text stands for; undefined after `fail`. */
function textReader(field: DescField): (text: string, context: JsonContext) => unknown {
  if (field.enum !== undefined) {
    const { value } = field.enum;
    const expected = `must be ${expectedEnum(field.enum)}`;
    return (text, context) => {
      if (!/^-?[0-9]{1,10}$/.test(text)) return text;
      return value[Number(text)] === undefined ? context.fail(expected) : Number(text);
    };
  }
  if (field.scalar !== undefined) return scalarText(field.scalar);
  const { message } = field;
  if (isWrapperDesc(message)) return scalarText(message.fields[0]?.scalar);
  return jsonTypes.has(message.typeName) ? parseText : (text) => text;
}

const jsonTypes = new Set(["google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"]);

function scalarText(type: ScalarType | undefined): (text: string) => unknown {
  return type === ScalarType.BOOL
    ? (text) => (text === "true" ? true : text === "false" ? false : text)
    : (text) => text;
}

const parseText = (text: string, context: JsonContext): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return context.fail("must be JSON");
  }
};
