/**
 * From an HTTP request to the encoded message of its method: body, then query, then path variables, all written to the
 * wire one after the other, so that the path wins. What a binding needs is compiled once.
 */
import { WireType, BinaryWriter } from "@bufbuild/protobuf/wire";
import type { DescField, Registry } from "@bufbuild/protobuf";
import { fieldWriter, messageWriter, type JsonContext, type WriteJson } from "./json-writer.ts";
import { parseJson } from "./json-text.ts";
import {
  byEitherName,
  byProtoName,
  resolveParameter,
  type NoParameter,
  type Parameter,
} from "./parameters.ts";
import { decodeQueryPart } from "./percent.ts";
import { createViolations, type Origin, type Violations } from "./violations.ts";
import type { Binding, HttpRequest, Match, MethodEntry, RequestEncoder, RequestOptions } from "./types.ts";

/**
 * Makes the request message of path variables, query and body.
 * @throws ConnectError INVALID_ARGUMENT, with a violation for each parameter or field that is wrong.
 */
export function encodeRequest(match: Match, request: HttpRequest, options: RequestOptions = {}): Uint8Array {
  return match.route.requestEncoder(match.variables, request, options);
}

/** Compiles the encoder of a binding. Its field paths have been checked. */
export function compileRequest(
  binding: Binding,
  method: Pick<MethodEntry, "input" | "registry">,
): RequestEncoder {
  const variables = binding.template.variables.map(({ fieldPath }) => {
    const parameter = resolveParameter(method.input, fieldPath, byProtoName);
    if ("problem" in parameter) throw new TypeError(`${fieldPath.join(".")} ${parameter.problem}`);
    return parameter;
  });
  const query = queryResolver(binding, method, variables);
  const writeBody = bodyWriter(binding, method);
  return (values, request, options) => {
    const writer = new BinaryWriter();
    const state = newState(options.ignoreUnknownFields ?? false, method.registry);
    const { body } = request;
    if (body !== undefined && (body.length > 0 || binding.rawRequest))
      writeBody(writer, body, request, state);
    if (request.query !== "") writeQuery(writer, request.query, query, state);
    for (const [index, parameter] of variables.entries()) {
      writeParameter(writer, parameter, parameter.name, values[index], state);
    }
    const error = state.violations.error();
    if (error !== undefined) throw error;
    return writer.finish();
  };
}

/** What is known while one request is read. */
interface State {
  readonly violations: Violations;
  readonly ignoreUnknown: boolean;
  readonly context: JsonContext & { origin: Origin; field: string };
  /** Singular parameters that were given. */
  readonly given: Set<string>;
  /** Members of oneofs that were chosen, by path of the oneof. */
  readonly chosen: Map<string, string>;
}

function newState(ignoreUnknown: boolean, registry: Registry): State {
  const violations = createViolations();
  const path: (string | number)[] = [];
  const context = {
    path,
    ignoreUnknown,
    registry,
    origin: "body" as Origin,
    /** The parameter that is being read. */
    field: "",
    fail: (description: string): void => {
      violations.add(context.origin, context.origin === "body" ? pathText(path) : context.field, description);
    },
  };
  return { violations, ignoreUnknown, context, given: new Set(), chosen: new Map() };
}

function pathText(path: readonly (string | number)[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    return text === "" ? part : `${text}.${part}`;
  }, "");
}

type BodyWriter = (writer: BinaryWriter, body: Uint8Array, request: HttpRequest, state: State) => void;

function bodyWriter({ body, rawRequest }: Binding, { input }: Pick<MethodEntry, "input">): BodyWriter {
  if (body === "none") return refuseBody;
  if (rawRequest) return body === "all" ? writeHttpBody : wrapped(body, writeHttpBody);
  const write: WriteJson = body === "all" ? messageWriter(input) : fieldWriter(body);
  return (writer, bytes, _request, { violations, context }) => {
    const json = parseJson(bytes);
    if ("problem" in json) return violations.add("body", "", json.problem);
    context.origin = "body";
    write(writer, json.value, context);
  };
}

/** Without a body in the binding there is nothing to read. An empty object says no more than nothing does. */
function refuseBody(_writer: BinaryWriter, body: Uint8Array, _request: HttpRequest, state: State): void {
  if (state.ignoreUnknown || Buffer.from(body).toString().trim() === "{}") return;
  state.violations.add("body", "", "this method takes no body; all its fields are in the path and the query");
}

/** google.api.HttpBody: content_type = 1, data = 2. */
const writeHttpBody: BodyWriter = (writer, body, { contentType }) => {
  if (contentType !== undefined) writer.tag(1, WireType.LengthDelimited).string(contentType);
  writer.tag(2, WireType.LengthDelimited).bytes(body);
};

function wrapped({ number }: DescField, write: BodyWriter): BodyWriter {
  return (writer, body, request, state) => {
    writer.tag(number, WireType.LengthDelimited).fork();
    write(writer, body, request, state);
    writer.join();
  };
}

/** Finds the parameter that a name in the query means. "ignored": the path has it, and wins. */
type QueryResolver = (name: string) => Parameter | NoParameter | "ignored";

const MAX_KNOWN_NAMES = 1000;

function queryResolver(
  { body }: Binding,
  { input }: Pick<MethodEntry, "input">,
  variables: readonly Parameter[],
): QueryResolver {
  if (body === "all")
    return () => ({ problem: "this method takes no query parameters; its fields are in the body" });
  const inPath = new Set(variables.map(({ name }) => name));
  const known = new Map<string, Parameter | "ignored">();
  const inBody = body === "none" ? undefined : body;
  return (name) => {
    const before = known.get(name);
    if (before !== undefined) return before;
    const path = name.split(".");
    if (inBody !== undefined && byEitherName(input, path[0] ?? "") === inBody) {
      return { problem: "belongs in the body" };
    }
    const parameter = resolveParameter(input, path, byEitherName);
    if ("problem" in parameter) return parameter;
    const result = inPath.has(parameter.name) ? "ignored" : parameter;
    if (known.size < MAX_KNOWN_NAMES) known.set(name, result);
    return result;
  };
}

function writeQuery(writer: BinaryWriter, query: string, resolve: QueryResolver, state: State): void {
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const rawName = equals < 0 ? pair : pair.slice(0, equals);
    const name = decodeQueryPart(rawName);
    if (name === undefined) {
      state.violations.add("parameter", rawName, BROKEN_ENCODING);
      continue;
    }
    const parameter = resolve(name);
    if (parameter === "ignored") continue;
    if ("problem" in parameter) {
      if (!state.ignoreUnknown) state.violations.add("parameter", name, parameter.problem);
      continue;
    }
    writeParameter(writer, parameter, name, equals < 0 ? "" : decodeQueryPart(pair.slice(equals + 1)), state);
  }
}

const BROKEN_ENCODING = "the percent-encoding is broken, or not UTF-8";

function writeParameter(
  writer: BinaryWriter,
  parameter: Parameter,
  name: string,
  text: string | undefined,
  { violations, context, given, chosen }: State,
): void {
  if (text === undefined) return violations.add("parameter", name, BROKEN_ENCODING);
  if (!parameter.repeated) {
    if (given.has(parameter.name)) return violations.add("parameter", name, "is given more than once");
    given.add(parameter.name);
  }
  for (const { oneof, member } of parameter.choices) {
    const other = chosen.get(oneof);
    if (other !== undefined && other !== member) {
      return violations.add("parameter", name, `cannot be given together with ${other}`);
    }
    chosen.set(oneof, member);
  }
  context.origin = "parameter";
  context.field = name;
  context.path.length = 0;
  parameter.write(writer, text, context);
}
