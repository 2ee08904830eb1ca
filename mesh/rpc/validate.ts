/** Requests are checked against the rules in their .proto (buf.validate) before a handler sees them. */
import type { DescMessage } from "@bufbuild/protobuf";
import { pathToString, type Path } from "@bufbuild/protobuf/reflect";
import { createValidator, type Validator } from "@bufbuild/protovalidate";
import type { Interceptor, StreamRequest, UnaryRequest } from "@connectrpc/connect";
import { invalidArgument, type FieldViolation } from "../errors.ts";

/**
 * A server interceptor that answers INVALID_ARGUMENT, with one `google.rpc.BadRequest` violation for each rule that is
 * broken. A message that breaks a rule in the middle of a stream ends the stream. Messages without rules cost nothing
 * worth measuring: the validator compiles each type once.
 */
export function validation(validator: Validator = createValidator()): Interceptor {
  return (next) => (request) => {
    if (request.stream) return next({ ...request, message: checkedStream(validator, request) });
    check(validator, request.method.input, request.message);
    return next(request);
  };
}

async function* checkedStream(validator: Validator, request: StreamRequest): StreamRequest["message"] {
  for await (const message of request.message) {
    check(validator, request.method.input, message);
    yield message;
  }
}

function check(validator: Validator, schema: DescMessage, message: UnaryRequest["message"]): void {
  const result = validator.validate(schema, message);
  if (result.kind === "valid") return;
  if (result.kind === "error") throw result.error;
  const [first, ...others] = result.violations.map(({ field, message, forKey }) =>
    violation(field, forKey ? `key: ${message}` : message),
  );
  if (first !== undefined) throw invalidArgument(first, ...others);
}

function violation(field: Path, description: string): FieldViolation {
  return { field: pathToString(field), description };
}
