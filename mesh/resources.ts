/** Errors about resources (AIP-193): which one, so that a program can tell without reading the message. */
import { create } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { ResourceInfoSchema } from "../gen/ts/google/rpc/error_details_pb.ts";
import { Reason } from "../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError, type ErrorOptions } from "./errors.ts";

/** What an error is about. */
export interface Resource {
  /** Full name of its message, such as `shop.order.v1.Order`. */
  readonly type: string;
  /** Its id. */
  readonly name: string;
}

/** NOT_FOUND: there is no such resource. */
export function notFound(resource: Resource): ConnectError {
  return about(resource, Code.NotFound, Reason.RESOURCE_NOT_FOUND, "does not exist");
}

/** ALREADY_EXISTS: the id is taken. */
export function alreadyExists(resource: Resource): ConnectError {
  return about(resource, Code.AlreadyExists, Reason.RESOURCE_EXISTS, "exists already");
}

/** FAILED_PRECONDITION: the resource is in a state in which this cannot be done. `why` goes on after "order X ". */
export function wrongState(resource: Resource, why: string, options: ErrorOptions = {}): ConnectError {
  return about(resource, Code.FailedPrecondition, Reason.WRONG_STATE, why, options);
}

function about(
  { type, name }: Resource,
  code: Code,
  reason: Reason,
  what: string,
  options: ErrorOptions = {},
): ConnectError {
  const kind = type.slice(type.lastIndexOf(".") + 1).toLowerCase();
  const error = rpcError(code, reason, `${kind} "${name}" ${what}`, options);
  const info = create(ResourceInfoSchema, { resourceType: type, resourceName: name });
  error.details.push({ desc: ResourceInfoSchema, value: info });
  return error;
}
