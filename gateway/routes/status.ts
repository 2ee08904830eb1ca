/**
 * Between gRPC and HTTP status codes, and the body of a failed call: a `google.rpc.Status` in JSON with every detail. A
 * detail of an unknown type is kept as base64; it never costs the caller the rest of the error.
 */
import {
  create,
  fromBinary,
  toBinary,
  toJson,
  type DescMessage,
  type JsonValue,
  type Registry,
} from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { errorInfo, reasonName } from "../../mesh/errors.ts";
import { opaqueAny } from "./any.ts";
import { isSingleValue } from "./json-writer.ts";
import type { EncodedStatus } from "./types.ts";

/** Prints a failed call. */
export function statusBody(error: ConnectError, registry: Registry): EncodedStatus {
  const details = error.details.map((detail) => {
    if (!("desc" in detail)) return printDetail(detail.type, detail.value, registry);
    return printDetail(
      detail.desc.typeName,
      toBinary(detail.desc, create(detail.desc, detail.value)),
      registry,
    );
  });
  return {
    httpStatus: httpStatusOf(error),
    json: JSON.stringify({ code: error.code, message: error.rawMessage, details }),
  };
}

/** The HTTP status of a failed call: canonical for its code, finer where the gateway itself refused the request. */
export function httpStatusOf(error: ConnectError): number {
  const reason = error.isWireError ? undefined : errorInfo(error)?.reason;
  return refusals.get(reason ?? "") ?? httpStatuses[error.code];
}

/** The HTTP status of a gRPC code, as google/rpc/code.proto maps them. */
export function httpStatusOfCode(code: Code): number {
  return httpStatuses[code];
}

/** The gRPC code of an HTTP status, for answers that carry nothing else. */
export function codeOfHttpStatus(status: number): Code | undefined {
  if (status >= 200 && status < 300) return undefined;
  const code = codes.get(status);
  if (code !== undefined) return code;
  if (status >= 400 && status < 500) return Code.FailedPrecondition;
  return status >= 500 && status < 600 ? Code.Internal : Code.Unknown;
}

/** HTTP has a status of its own for these, which no gRPC code has. */
const refusals: ReadonlyMap<string, number> = new Map([
  [reasonName(Reason.METHOD_NOT_ALLOWED), 405],
  [reasonName(Reason.NOT_ACCEPTABLE), 406],
  [reasonName(Reason.UNSUPPORTED_MEDIA_TYPE), 415],
  [reasonName(Reason.BODY_TOO_LARGE), 413],
  // RFC 9111, 5.2.1.7.
  [reasonName(Reason.NOT_CACHED), 504],
]);

const httpStatuses: Readonly<Record<Code, number>> = {
  [Code.Canceled]: 499,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 400,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401,
};

const codes: ReadonlyMap<number, Code> = new Map([
  [400, Code.InvalidArgument],
  [401, Code.Unauthenticated],
  [403, Code.PermissionDenied],
  [404, Code.NotFound],
  [409, Code.Aborted],
  [416, Code.OutOfRange],
  [429, Code.ResourceExhausted],
  [499, Code.Canceled],
  [500, Code.Unknown],
  [501, Code.Unimplemented],
  [503, Code.Unavailable],
  [504, Code.DeadlineExceeded],
]);

function printDetail(typeName: string, value: Uint8Array, registry: Registry): Record<string, JsonValue> {
  const url = `type.googleapis.com/${typeName}`;
  const desc = registry.getMessage(typeName);
  if (desc === undefined) return opaqueAny(url, value);
  try {
    return { "@type": url, ...fieldsOf(desc, value, registry) };
  } catch {
    return opaqueAny(url, value);
  }
}

function fieldsOf(desc: DescMessage, value: Uint8Array, registry: Registry): Record<string, JsonValue> {
  const json = toJson(desc, fromBinary(desc, value), { registry });
  const bare = !isSingleValue(desc) && typeof json === "object" && json !== null && !Array.isArray(json);
  return bare ? json : { value: json };
}
