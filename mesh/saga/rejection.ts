/**
 * Business rejections: a participant that says no. It is a typed detail of the status, never a bare code, so that it can
 * not be mistaken for a fault that may go away.
 */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { RejectionSchema, type Rejection } from "../../gen/ts/heddle/saga/v1/saga_pb.ts";

/** Says no, for good: FAILED_PRECONDITION with `heddle.saga.v1.Rejection`. `reason` is UPPER_SNAKE. */
export function rejection(reason: string, message: string): ConnectError {
  if (!/^[A-Z][A-Z0-9_]*$/.test(reason)) throw new TypeError(`not UPPER_SNAKE: ${reason}`);
  return rejectionError(create(RejectionSchema, { reason, message }));
}

/** The rejection that an error is, here or from another process; undefined for any other error. */
export function rejectionOf(error: unknown): Rejection | undefined {
  return error instanceof ConnectError ? error.findDetails(RejectionSchema)[0] : undefined;
}

/** The error of a rejection that was stored. */
export function rejectionError(rejection: Rejection): ConnectError {
  return new ConnectError(rejection.message, Code.FailedPrecondition, undefined, [
    { desc: RejectionSchema, value: rejection },
  ]);
}
