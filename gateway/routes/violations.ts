/** Collects everything that is wrong with a request, so that one answer names it all. */
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError, type FieldViolation } from "../../mesh/errors.ts";

/** Where a violation was found. */
export type Origin = "parameter" | "body";

/** What is wrong so far. */
export interface Violations {
  /** Adds one. Beyond the first 32 they are only counted. Names that a client made up are shortened. */
  add(origin: Origin, field: string, description: string): void;
  /** INVALID_ARGUMENT with all of them; undefined if there are none. */
  error(): ConnectError | undefined;
}

const MAX_VIOLATIONS = 32;
const MAX_FIELD_LENGTH = 120;

/** Starts a collection. */
export function createViolations(): Violations {
  const found: FieldViolation[] = [];
  let count = 0;
  let parameters = false;
  return {
    add(origin, field, description) {
      count++;
      parameters ||= origin === "parameter";
      if (found.length < MAX_VIOLATIONS) found.push({ field: shorten(field), description });
    },
    error() {
      if (count === 0) return undefined;
      const texts = found.map(({ field, description }) =>
        field === "" ? description : `${field}: ${description}`,
      );
      if (count > found.length) texts.push(`and ${count - found.length} more`);
      const reason = parameters ? Reason.MALFORMED_PARAMETER : Reason.MALFORMED_BODY;
      return rpcError(Code.InvalidArgument, reason, texts.join("; "), { violations: found });
    },
  };
}

function shorten(field: string): string {
  return field.length <= MAX_FIELD_LENGTH ? field : `${field.slice(0, MAX_FIELD_LENGTH)}…`;
}
