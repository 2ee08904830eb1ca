/**
 * The configuration of a process: `--config FILE` (YAML), then `HEDDLE__SECTION__KEY` variables over it, checked against
 * `heddle.config.v1.Config` and frozen. Unknown keys, wrong types and values out of range are reported all at once, each
 * with its path. Nothing else in Heddle reads the environment.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  fromJson,
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
} from "@bufbuild/protobuf";
import { durationMs as wellKnownDurationMs, type Duration } from "@bufbuild/protobuf/wkt";
import { createValidator, ValidationError } from "@bufbuild/protovalidate";
import { parseDocument } from "yaml";
import { ConfigSchema, type Config } from "../gen/ts/heddle/config/v1/config_pb.ts";
import { messageOf } from "./errors.ts";

export type { Config } from "../gen/ts/heddle/config/v1/config_pb.ts";

/** Exit status of a process that was configured wrongly (`EX_USAGE` of sysexits.h). */
export const EXIT_USAGE = 64;

/** Everything that is wrong with a configuration. */
export class ConfigError extends Error {
  /** One sentence each: where, what, and what instead. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the configuration is wrong:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/** Rules of one kind of process that the schema cannot say. Returns one sentence for each that is broken. */
export type ConfigRules = (config: Config) => readonly string[];

/**
 * Reads the configuration. `argv` are the arguments after the script's name; besides `--config FILE` none is known.
 *
 * @throws ConfigError with every problem that was found.
 */
export function loadConfig(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  rules: ConfigRules = () => [],
): Config {
  const problems: string[] = [];
  const file = configFile(argv, problems);
  const json = file === undefined ? {} : readYaml(file, problems);
  overlayEnvironment(json, env, problems);
  checkObject(ConfigSchema, json, "", problems);
  if (problems.length > 0) throw new ConfigError(problems);
  const config = fromJson(ConfigSchema, json);
  checkRules(config, rules);
  return deepFreeze(config);
}

/** `loadConfig` of this process. Prints what is wrong and exits with 64. For `main.ts` files only. */
export function configOrExit(rules?: ConfigRules): Config {
  try {
    return loadConfig(process.argv.slice(2), process.env, rules);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return process.exit(EXIT_USAGE);
  }
}

/** A configured duration in milliseconds. */
export function durationMs(duration: Duration | undefined, defaultMs: number): number {
  return duration === undefined ? defaultMs : wellKnownDurationMs(duration);
}

/** The password of the service's MySQL account: the first line of `password_file`, else `password`. */
export function mysqlPassword(config: Config): string {
  const file = config.mysql?.passwordFile ?? "";
  if (file === "") return config.mysql?.password ?? "";
  try {
    return readFileSync(file, "utf8").split("\n", 1)[0] ?? "";
  } catch (error) {
    throw new ConfigError([`mysql.password_file: ${messageOf(error)}`]);
  }
}

function configFile(argv: readonly string[], problems: string[]): string | undefined {
  try {
    return parseArgs({ args: [...argv], options: { config: { type: "string" } } }).values.config;
  } catch (error) {
    problems.push(`${messageOf(error)}; usage: --config FILE`);
    return undefined;
  }
}

function readYaml(file: string, problems: string[]): JsonObject {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    problems.push(`--config ${file}: ${messageOf(error)}`);
    return {};
  }
  const document = parseDocument(text);
  problems.push(...document.errors.map((error) => `${file}: ${error.message.split("\n", 1)[0]}`));
  if (document.errors.length > 0) return {};
  const value = (document.toJS() ?? {}) as JsonValue;
  if (isObject(value)) return value;
  problems.push(`${file}: expected keys and values, found ${describe(value)}`);
  return {};
}

/** Puts `HEDDLE__SECTION__KEY=value` into the JSON, converted to what its field takes. Lists are split at commas. */
function overlayEnvironment(
  json: JsonObject,
  env: Readonly<Record<string, string | undefined>>,
  problems: string[],
): void {
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith("HEDDLE__") || text === undefined) continue;
    const path = name.slice("HEDDLE__".length).toLowerCase().split("__");
    const problem = setByPath(ConfigSchema, json, path, text);
    if (problem !== undefined) problems.push(`${name}: ${problem}`);
  }
}

function setByPath(
  schema: DescMessage,
  json: JsonObject,
  path: readonly string[],
  text: string,
): string | undefined {
  const [key = "", ...rest] = path;
  const field = schema.fields.find(({ name }) => name === key);
  if (field === undefined) return unknownKey(schema, key);
  const slot = field.jsonName in json ? field.jsonName : field.name;
  if (rest.length === 0) {
    if (field.fieldKind === "message" && field.message.typeName !== "google.protobuf.Duration") {
      return `names a section; set one of its keys, such as ${field.message.fields[0]?.name.toUpperCase()}`;
    }
    json[slot] = fromText(field, text);
    return undefined;
  }
  const inner = (json[slot] ??= {});
  if (field.fieldKind === "map" && isObject(inner)) {
    inner[rest.join("__")] = text;
    return undefined;
  }
  if (field.fieldKind !== "message" || !isObject(inner)) return `"${key}" has no keys within it`;
  return setByPath(field.message, inner, rest, text);
}

function fromText(field: DescField, text: string): JsonValue {
  if (field.fieldKind === "list") return text === "" ? [] : text.split(",").map((item) => item.trim());
  return text === "true" ? true : text === "false" ? false : text;
}

/** Walks the JSON along the descriptor, so that every problem is found and named by its path. */
function checkObject(schema: DescMessage, json: JsonObject, path: string, problems: string[]): void {
  for (const [key, value] of Object.entries(json)) {
    const at = path === "" ? key : `${path}.${key}`;
    const field = schema.fields.find(({ name, jsonName }) => name === key || jsonName === key);
    if (field === undefined) problems.push(`${at}: ${unknownKey(schema, key)}`);
    else checkField(schema, field, value, at, problems);
  }
}

function checkField(
  schema: DescMessage,
  field: DescField,
  value: JsonValue,
  at: string,
  problems: string[],
): void {
  if (field.fieldKind === "message" && isSection(field.message)) {
    if (isObject(value)) checkObject(field.message, value, at, problems);
    else if (value !== null) problems.push(`${at}: expected keys and values, found ${describe(value)}`);
    return;
  }
  if (field.fieldKind === "list" && field.listKind === "message" && Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      if (isObject(item)) checkObject(field.message, item, `${at}[${index}]`, problems);
      else problems.push(`${at}[${index}]: expected keys and values, found ${describe(item)}`);
    }
    return;
  }
  try {
    fromJson(schema, { [field.jsonName]: value });
  } catch {
    problems.push(`${at}: expected ${expected(field)}, found ${describe(value)}`);
  }
}

function checkRules(config: Config, rules: ConfigRules): void {
  const result = createValidator().validate(ConfigSchema, config);
  if (result.kind === "error") throw result.error;
  const violations = result.error instanceof ValidationError ? result.error.violations : [];
  const problems = [...violations.map((violation) => violation.toString()), ...rules(config)];
  if (problems.length > 0) throw new ConfigError(problems);
}

function isSection(message: DescMessage): boolean {
  return !message.typeName.startsWith("google.protobuf.");
}

function unknownKey(schema: DescMessage, key: string): string {
  return `unknown key "${key}"; known here: ${schema.fields.map(({ name }) => name).join(", ")}`;
}

function expected(field: DescField): string {
  if (field.fieldKind === "list") return "a list";
  if (field.fieldKind === "map") return "keys with numbers";
  if (field.fieldKind === "message") return "a duration such as 0.25s";
  if (field.fieldKind === "enum") return `one of ${field.enum.values.map(({ name }) => name).join(", ")}`;
  return scalarNames[field.scalar] ?? "a number";
}

/** By ScalarType: 8 is bool, 9 is string. */
const scalarNames: Readonly<Record<number, string>> = { 8: "true or false", 9: "text" };

function describe(value: JsonValue): string {
  if (Array.isArray(value)) return "a list";
  if (isObject(value)) return "keys and values";
  return value === null ? "nothing" : typeof value === "string" ? "text" : `${typeof value} ${value}`;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) {
    if (typeof inner === "object" && inner !== null) deepFreeze(inner as object);
  }
  return Object.freeze(value);
}
