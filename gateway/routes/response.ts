/**
 * From an encoded response message to the body of an HTTP response: ProtoJSON with default values printed, so that a
 * client always finds the same keys, or the raw bytes of a `google.api.HttpBody`.
 */
import {
  create,
  fromBinary,
  toJson,
  type DescField,
  type DescMessage,
  type JsonValue,
} from "@bufbuild/protobuf";
import { HttpBodySchema, type HttpBody } from "../../gen/ts/google/api/httpbody_pb.ts";
import { printUnknownAny } from "./any.ts";
import { isSingleValue } from "./json-writer.ts";
import type { Binding, EncodedReply, MethodEntry, ReplyEncoder, Route } from "./types.ts";

/** Prints a whole reply: JSON, or the bytes of a `google.api.HttpBody` with its own media type. */
export function encodeReply(route: Route, message: Uint8Array): EncodedReply {
  return route.replyEncoder(message);
}

/** Prints one message of a stream as JSON text without line breaks. Where `binding.rawReply`, use `encodeReply`. */
export function encodeStreamElement(route: Route, message: Uint8Array): string {
  const { body } = route.replyEncoder(message);
  return typeof body === "string" ? body : JSON.stringify(Buffer.from(body).toString("base64"));
}

/** Compiles the encoder of a binding. */
export function compileReply(
  binding: Binding,
  method: Pick<MethodEntry, "output" | "registry">,
): ReplyEncoder {
  const { output, registry } = method;
  const field = binding.responseBody;
  if (binding.rawReply) return rawEncoder(output, field);
  // Looking for extensions and Any costs time in every message, so it is done only where there can be some.
  const options = { alwaysEmitImplicit: true, ...(holdsAny(output, new Set()) ? { registry } : {}) };
  return (bytes) => {
    const message = fromBinary(output, bytes);
    let json: JsonValue;
    try {
      json = toJson(output, message, options);
    } catch {
      json = printUnknownAny(output, message, { ...options, registry });
    }
    const body = field === undefined ? json : (fieldOf(json, field) ?? defaultOf(field));
    return { contentType: "application/json", body: JSON.stringify(body) };
  };
}

function fieldOf(json: JsonValue, { jsonName }: DescField): JsonValue | undefined {
  return typeof json === "object" && json !== null && !Array.isArray(json) ? json[jsonName] : undefined;
}

/** What stands for a field with presence that is absent: an empty message, or null where there is no empty value. */
function defaultOf({ fieldKind, message }: DescField): JsonValue {
  if (fieldKind !== "message" || isSingleValue(message)) return null;
  return toJson(message, create(message), { alwaysEmitImplicit: true });
}

function rawEncoder(output: DescMessage, field: DescField | undefined): ReplyEncoder {
  return (bytes) => {
    const { contentType, data } =
      field === undefined ? fromBinary(HttpBodySchema, bytes) : bodyIn(output, field, bytes);
    return { contentType: contentType === "" ? "application/octet-stream" : contentType, body: data };
  };
}

function bodyIn(output: DescMessage, field: DescField, bytes: Uint8Array): HttpBody {
  const message = fromBinary(output, bytes) as unknown as Record<string, unknown>;
  const { oneof } = field;
  if (oneof === undefined)
    return (message[field.localName] as HttpBody | undefined) ?? create(HttpBodySchema);
  const chosen = message[oneof.localName] as { case?: string; value?: unknown };
  return chosen.case === field.localName ? (chosen.value as HttpBody) : create(HttpBodySchema);
}

function holdsAny(desc: DescMessage, seen: Set<DescMessage>): boolean {
  if (seen.has(desc)) return false;
  seen.add(desc);
  if (desc.typeName === "google.protobuf.Any" || desc.proto.extensionRange.length > 0) return true;
  return desc.fields.some(({ message }) => message !== undefined && holdsAny(message, seen));
}
