/** How long a call may take: what its caller asks for by header, within the configured bounds. */
import { Code } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../../mesh/errors.ts";

/** Bounds of the public edge. */
export interface TimeoutLimits {
  /** For unary calls that ask for nothing. */
  readonly defaultTimeoutMs: number;
  /** The most that a unary call gets, whatever it asks for. */
  readonly maxTimeoutMs: number;
}

/**
 * Milliseconds that a unary call may take. `asked` is what its header says, undefined if there is none; more than the
 * maximum is cut down to it.
 */
export function unaryTimeoutMs(asked: number | undefined, limits: TimeoutLimits): number {
  return Math.min(asked ?? limits.defaultTimeoutMs, limits.maxTimeoutMs);
}

const grpcUnitsMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * Reads `Grpc-Timeout`: up to eight digits and a unit, `H`, `M`, `S`, `m`, `u` or `n` (gRPC over HTTP/2, "Timeout").
 *
 * @throws ConnectError INVALID_ARGUMENT if it is malformed.
 */
export function parseGrpcTimeout(text: string): number {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  if (digits === undefined || unit === undefined) {
    throw malformed("grpc-timeout", text, "up to eight digits and one of H, M, S, m, u, n, such as 250m");
  }
  return Number(digits) * grpcUnitsMs[unit]!;
}

const requestUnitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/**
 * Reads `X-Request-Timeout`: a decimal number of seconds, or one with the unit `ms`, `s` or `m`.
 *
 * @throws ConnectError INVALID_ARGUMENT if it is malformed.
 */
export function parseRequestTimeout(text: string): number {
  const [, number, unit = "s"] = /^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m)?$/.exec(text) ?? [];
  if (number === undefined) {
    throw malformed(
      "x-request-timeout",
      text,
      "seconds such as 1.5, or a number with ms, s or m such as 250ms",
    );
  }
  return Number(number) * requestUnitsMs[unit]!;
}

function malformed(header: string, text: string, expected: string) {
  const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return rpcError(Code.InvalidArgument, Reason.MALFORMED_HEADER, `${header}: ${shown} is not ${expected}`);
}
