/** The HTTP rules of a method, checked against its messages: each becomes a binding, or a sentence that says what is wrong. */
import { getOption, hasOption, type DescField, type DescMessage, type DescMethod } from "@bufbuild/protobuf";
import { http } from "../../gen/ts/google/api/annotations_pb.ts";
import type { HttpRule } from "../../gen/ts/google/api/http_pb.ts";
import { byProtoName, resolveParameter } from "./parameters.ts";
import { parseTemplate, TemplateError, type Template } from "./template.ts";
import type { Binding } from "./types.ts";

/** Reads `google.api.http` of a method, additional bindings included. */
export function bindingsOf(method: DescMethod): { bindings: Binding[]; problems: string[] } {
  const bindings: Binding[] = [];
  const problems: string[] = [];
  if (!hasOption(method, http)) return { bindings, problems };
  const rule = getOption(method, http);
  for (const [index, each] of [rule, ...rule.additionalBindings].entries()) {
    const problem = index > 0 && each.additionalBindings.length > 0 ? NESTED : undefined;
    const binding = problem ?? bindingOf(each, method);
    if (typeof binding === "string") problems.push(binding);
    else bindings.push(binding);
  }
  return { bindings, problems };
}

const NESTED = "additional_bindings within additional_bindings";
const HTTP_BODY = "google.api.HttpBody";

// RFC 9110, 5.6.2; methods are case-sensitive.
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function bindingOf(rule: HttpRule, { input, output }: DescMethod): Binding | string {
  const pattern = patternOf(rule);
  if (typeof pattern === "string") return pattern;
  const template = templateOf(pattern.path);
  if (typeof template === "string") return template;
  const body = bodyOf(rule.body, input);
  const responseBody = rule.responseBody === "" ? undefined : byProtoName(output, rule.responseBody);
  const problem = firstProblem(pattern.httpMethod, template, body, rule, input, responseBody);
  if (problem !== undefined) return `${pattern.httpMethod} ${template.source}: ${problem}`;
  return {
    httpMethod: pattern.httpMethod,
    template,
    body: body ?? "none",
    responseBody,
    rawRequest: isHttpBody(body === "all" ? input : bodyMessage(body)),
    rawReply: isHttpBody(responseBody === undefined ? output : bodyMessage(responseBody)),
  };
}

function patternOf({ pattern }: HttpRule): { httpMethod: string; path: string } | string {
  if (pattern.case === undefined) return "a rule without a path";
  if (pattern.case !== "custom") return { httpMethod: pattern.case.toUpperCase(), path: pattern.value };
  const { kind, path } = pattern.value;
  return TOKEN.test(kind) ? { httpMethod: kind, path } : `"${kind}" is no HTTP method`;
}

function templateOf(path: string): Template | string {
  try {
    return parseTemplate(path);
  } catch (error) {
    if (error instanceof TemplateError) return error.message;
    throw error;
  }
}

/** Undefined if there is no such field. */
function bodyOf(body: string, input: DescMessage): Binding["body"] | undefined {
  if (body === "") return "none";
  return body === "*" ? "all" : byProtoName(input, body);
}

function firstProblem(
  httpMethod: string,
  template: Template,
  body: Binding["body"] | undefined,
  rule: HttpRule,
  input: DescMessage,
  responseBody: DescField | undefined,
): string | undefined {
  if (body === undefined) return `body: "${rule.body}" is no field of ${input.typeName}`;
  if (rule.responseBody !== "" && responseBody === undefined) {
    return `response_body: "${rule.responseBody}" is no field of the response`;
  }
  if (body !== "none" && (httpMethod === "GET" || httpMethod === "HEAD")) return `${httpMethod} has no body`;
  for (const { fieldPath } of template.variables) {
    const problem = variableProblem(fieldPath, input, body);
    if (problem !== undefined) return `{${fieldPath.join(".")}} ${problem}`;
  }
  return undefined;
}

/** Path variables are singular and primitive. */
function variableProblem(
  fieldPath: readonly string[],
  input: DescMessage,
  body: Binding["body"],
): string | undefined {
  const parameter = resolveParameter(input, fieldPath, byProtoName);
  if ("problem" in parameter) return parameter.problem;
  if (parameter.repeated) return "is repeated, which a path variable must not be";
  if (parameter.message) return "is a message, which a path variable must not be";
  return fieldPath.length === 1 && typeof body === "object" && body.name === fieldPath[0]
    ? "is also the body"
    : undefined;
}

function bodyMessage(field: Binding["body"] | undefined): DescMessage | undefined {
  return typeof field === "object" && field.fieldKind === "message" ? field.message : undefined;
}

function isHttpBody(message: DescMessage | undefined): boolean {
  return message?.typeName === HTTP_BODY;
}
