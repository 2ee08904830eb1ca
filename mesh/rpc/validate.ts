/** Requests are checked against the rules in their .proto (buf.validate) before a handler sees them. */
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { pathToString, type Path } from "@bufbuild/protobuf/reflect";
import type { Validator } from "@bufbuild/protovalidate";
import type { HandlerContext, MethodImplSpec } from "@connectrpc/connect";
import { invalidArgument, type FieldViolation } from "../errors.ts";

/**
 * The same method with its requests checked: one that breaks a rule is answered INVALID_ARGUMENT, with one
 * `google.rpc.BadRequest` violation for each rule; in the middle of a stream it ends the stream. The implementation is
 * wrapped, not the call, so that interceptors such as authentication come first. Messages without rules cost next to
 * nothing: the validator compiles each type once.
 */
export function validated(spec: MethodImplSpec, validator: Validator): MethodImplSpec {
  const check = (message: Message) => checked(validator, spec.method.input, message);
  const takesOne = spec.kind === "unary" || spec.kind === "server_streaming";
  // The kinds differ in types only; what a method takes is all that matters here.
  const impl = spec.impl as (request: Message | AsyncIterable<Message>, context: HandlerContext) => unknown;
  const wrapped: typeof impl = takesOne
    ? (request, context) => impl(check(request as Message), context)
    : (request, context) => impl(eachChecked(check, request as AsyncIterable<Message>), context);
  return { ...spec, impl: wrapped } as MethodImplSpec;
}

async function* eachChecked(
  check: (message: Message) => Message,
  messages: AsyncIterable<Message>,
): AsyncIterable<Message> {
  for await (const message of messages) yield check(message);
}

function checked(validator: Validator, schema: DescMessage, message: Message): Message {
  const result = validator.validate(schema, message);
  if (result.kind === "valid") return message;
  if (result.kind === "error") throw result.error;
  const [first, ...others] = result.violations.map(({ field, message, forKey }) =>
    violation(field, forKey ? `key: ${message}` : message),
  );
  throw first === undefined ? result.error : invalidArgument(first, ...others);
}

function violation(field: Path, description: string): FieldViolation {
  return { field: pathToString(field), description };
}
