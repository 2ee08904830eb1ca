import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { BadRequestSchema, RetryInfoSchema } from "../../gen/ts/google/rpc/error_details_pb.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { NestedSchema } from "../../gen/ts/heddle/testing/v1/echo_pb.ts";
import { rpcError } from "../../mesh/errors.ts";
import { baseRegistry } from "./descriptors.ts";
import { echoTable } from "./echo.fixture.ts";
import { codeOfHttpStatus, httpStatusOfCode, statusBody } from "./status.ts";

const canonical: readonly (readonly [Code, number])[] = [
  [Code.Canceled, 499],
  [Code.Unknown, 500],
  [Code.InvalidArgument, 400],
  [Code.DeadlineExceeded, 504],
  [Code.NotFound, 404],
  [Code.AlreadyExists, 409],
  [Code.PermissionDenied, 403],
  [Code.ResourceExhausted, 429],
  [Code.FailedPrecondition, 400],
  [Code.Aborted, 409],
  [Code.OutOfRange, 400],
  [Code.Unimplemented, 501],
  [Code.Internal, 500],
  [Code.Unavailable, 503],
  [Code.DataLoss, 500],
  [Code.Unauthenticated, 401],
];

describe("codes", () => {
  test.each(canonical)("gRPC code %i is HTTP %i", (code, status) => {
    expect(httpStatusOfCode(code)).toBe(status);
    expect(statusBody(new ConnectError("m", code), baseRegistry).httpStatus).toBe(status);
  });

  test("all sixteen errors are mapped; the seventeenth code is OK", () => {
    expect(canonical.map(([code]) => code)).toEqual(
      Object.values(Code).filter((code) => typeof code === "number"),
    );
  });

  test.each([
    [200, undefined],
    [204, undefined],
    [302, Code.Unknown],
    [400, Code.InvalidArgument],
    [401, Code.Unauthenticated],
    [403, Code.PermissionDenied],
    [404, Code.NotFound],
    [409, Code.Aborted],
    [416, Code.OutOfRange],
    [418, Code.FailedPrecondition],
    [429, Code.ResourceExhausted],
    [499, Code.Canceled],
    [500, Code.Unknown],
    [501, Code.Unimplemented],
    [502, Code.Internal],
    [503, Code.Unavailable],
    [504, Code.DeadlineExceeded],
  ])("HTTP %i is gRPC code %s", (status, code) => {
    expect(codeOfHttpStatus(status)).toBe(code);
  });

  test.each([
    [Reason.METHOD_NOT_ALLOWED, 405],
    [Reason.NOT_ACCEPTABLE, 406],
    [Reason.BODY_TOO_LARGE, 413],
    [Reason.UNSUPPORTED_MEDIA_TYPE, 415],
  ])("what the gateway itself refuses has the status of HTTP: %i", (reason, status) => {
    const error = rpcError(Code.InvalidArgument, reason, "m");
    expect(statusBody(error, baseRegistry).httpStatus).toBe(status);
    error.isWireError = true;
    expect(statusBody(error, baseRegistry).httpStatus).toBe(400);
  });
});

describe("statusBody", () => {
  test("is a google.rpc.Status with the details of an error made here", () => {
    const violations = [{ field: "a.b", description: "must be set" }];
    const error = rpcError(Code.Unavailable, Reason.NO_ENDPOINT, "no endpoint", {
      retryAfterMs: 1500,
      violations,
    });
    expect(JSON.parse(statusBody(error, baseRegistry).json)).toEqual({
      code: 14,
      message: "no endpoint",
      details: [
        { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "NO_ENDPOINT", domain: "heddle.dev" },
        { "@type": "type.googleapis.com/google.rpc.BadRequest", fieldViolations: violations },
        { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "1.500s" },
      ],
    });
  });

  test("keeps each detail that came over the wire: known types in full, unknown and broken ones as base64", () => {
    const error = new ConnectError("m", Code.NotFound);
    const nested = toBinary(NestedSchema, create(NestedSchema, { name: "a" }));
    const retry = toBinary(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: durationFromMs(1000) }));
    error.details = [
      { type: "google.rpc.RetryInfo", value: retry },
      { type: "heddle.testing.v1.Nested", value: nested },
      { type: "acme.v1.Unknown", value: new Uint8Array([1, 2, 3]) },
      { type: "google.rpc.BadRequest", value: new Uint8Array([255]) },
      { type: "google.protobuf.Duration", value: new Uint8Array([8, 5]) },
      { desc: BadRequestSchema, value: { fieldViolations: [] } },
    ];
    expect(JSON.parse(statusBody(error, echoTable.registry).json)).toEqual({
      code: 5,
      message: "m",
      details: [
        { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "1s" },
        { "@type": "type.googleapis.com/heddle.testing.v1.Nested", name: "a" },
        { "@type": "type.googleapis.com/acme.v1.Unknown", value: "AQID" },
        { "@type": "type.googleapis.com/google.rpc.BadRequest", value: "/w==" },
        { "@type": "type.googleapis.com/google.protobuf.Duration", value: "5s" },
        { "@type": "type.googleapis.com/google.rpc.BadRequest" },
      ],
    });
  });
});
