/**
 * Errors that cross a process boundary. There is one class, Connect's `ConnectError`, and one way to make it here:
 * `rpcError`, which attaches `google.rpc.ErrorInfo` with a reason from `heddle.error.v1`, so that a caller in any
 * language can tell what happened without reading the message. docs/errors.md lists the reasons.
 */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
  type ErrorInfo,
} from "../gen/ts/google/rpc/error_details_pb.ts";
import { Reason, ReasonSchema } from "../gen/ts/heddle/error/v1/error_pb.ts";

/** `google.rpc.ErrorInfo.domain` of every error that Heddle itself makes. */
export const ERROR_DOMAIN = "heddle.dev";

/** What is wrong with one field, in the words of `google.rpc.BadRequest`. */
export interface FieldViolation {
  /** Path of the field in the request message, such as `lines[0].quantity`. */
  readonly field: string;
  /** What to do instead, as one sentence. */
  readonly description: string;
}

/** Optional parts of an error. */
export interface ErrorOptions {
  /** `google.rpc.RetryInfo`: it is worth trying again after this many milliseconds. */
  readonly retryAfterMs?: number;
  /** `google.rpc.ErrorInfo.metadata`: what a program may want to know. Never secrets. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** `google.rpc.BadRequest`: the fields that are wrong. */
  readonly violations?: readonly FieldViolation[];
  /** What led to it. Goes to the log, never to the caller. */
  readonly cause?: unknown;
}

/** Makes an error that carries its reason. */
export function rpcError(
  code: Code,
  reason: Reason,
  message: string,
  options: ErrorOptions = {},
): ConnectError {
  const error = new ConnectError(message, code, undefined, undefined, options.cause);
  error.details.push({
    desc: ErrorInfoSchema,
    value: { reason: reasonName(reason), domain: ERROR_DOMAIN, metadata: { ...options.metadata } },
  });
  if (options.violations !== undefined) {
    error.details.push({ desc: BadRequestSchema, value: { fieldViolations: [...options.violations] } });
  }
  if (options.retryAfterMs !== undefined) {
    error.details.push({
      desc: RetryInfoSchema,
      value: { retryDelay: durationFromMs(options.retryAfterMs) },
    });
  }
  return error;
}

/** INVALID_ARGUMENT with one violation for each field that is wrong. */
export function invalidArgument(...violations: [FieldViolation, ...FieldViolation[]]): ConnectError {
  const message = violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  return rpcError(Code.InvalidArgument, Reason.INVALID_FIELD, message, { violations });
}

/** The name that stands in `ErrorInfo.reason`, such as `NO_ENDPOINT`. */
export function reasonName(reason: Reason): string {
  const value = ReasonSchema.value[reason];
  if (value === undefined) throw new TypeError(`no such reason: ${reason}`);
  return value.name.replace(/^REASON_/, "");
}

/** The `ErrorInfo` of an error that Heddle made, here or in another process; undefined for any other error. */
export function errorInfo(error: unknown): ErrorInfo | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  return error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === ERROR_DOMAIN);
}

/** Whether an error was made with this reason, here or in another process. */
export function hasReason(error: unknown, reason: Reason): boolean {
  return errorInfo(error)?.reason === reasonName(reason);
}

/** How long `RetryInfo` asks to wait, in milliseconds; undefined if the error does not say. */
export function retryAfterMs(error: ConnectError): number | undefined {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay === undefined ? undefined : Number(delay.seconds) * 1000 + delay.nanos / 1e6;
}

/** A usable message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An `ErrorInfo` of a domain other than Heddle's, for the reasons of an application. */
export function applicationErrorInfo(
  domain: string,
  reason: string,
  metadata: Record<string, string> = {},
): ErrorInfo {
  return create(ErrorInfoSchema, { domain, reason, metadata });
}
