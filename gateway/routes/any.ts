/**
 * `google.protobuf.Any` of types that nobody here knows. ProtoJSON cannot print them; instead of dropping the whole
 * message, each one is printed as `{"@type": …, "value": base64 of its bytes}`.
 */
import {
  fromJson,
  toBinary,
  toJson,
  type DescMessage,
  type JsonValue,
  type JsonWriteOptions,
  type Message,
} from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { StructSchema, type Any } from "@bufbuild/protobuf/wkt";

/** An Any whose content is kept as it is. */
export function opaqueAny(typeUrl: string, value: Uint8Array): Record<string, JsonValue> {
  return { "@type": typeUrl, value: Buffer.from(value).toString("base64") };
}

/** Prints a message that `toJson` refuses because of an Any. Alters the message. */
export function printUnknownAny(
  desc: DescMessage,
  message: Message,
  options: Partial<JsonWriteOptions>,
): JsonValue {
  wrapUnknown(reflect(desc, message), options);
  return unwrap(toJson(desc, message, options));
}

// Each unknown Any becomes a Struct that says the same; toJson prints that with this URL beside it.
const WRAPPED = "type.heddle.dev/google.protobuf.Struct";

function wrapUnknown(message: ReflectMessage, options: Partial<JsonWriteOptions>): void {
  if (message.desc.typeName === "google.protobuf.Any") {
    return wrapIfUnknown(message.desc, message.message as Any, options);
  }
  for (const field of message.fields) {
    if (field.message === undefined || !message.isSet(field)) continue;
    if (field.fieldKind === "message") wrapUnknown(message.get(field), options);
    else if (field.fieldKind === "list" || field.fieldKind === "map") {
      for (const item of message.get(field).values()) wrapUnknown(item as ReflectMessage, options);
    }
  }
}

function wrapIfUnknown(desc: DescMessage, any: Any, options: Partial<JsonWriteOptions>): void {
  try {
    toJson(desc, any, options);
  } catch {
    any.value = toBinary(StructSchema, fromJson(StructSchema, opaqueAny(any.typeUrl, any.value)));
    any.typeUrl = WRAPPED;
  }
}

function unwrap(json: JsonValue): JsonValue {
  if (typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) return json.map(unwrap);
  if (json["@type"] === WRAPPED && json["value"] !== undefined) return json["value"];
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, unwrap(value)]));
}
