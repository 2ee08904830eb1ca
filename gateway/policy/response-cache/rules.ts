/**
 * Reads the options `heddle.gateway.v1.cache` and `invalidates` of a method and checks them against it. What is wrong becomes
 * a sentence; the method is then served without the cache, which is slower and never wrong.
 */
import { getOption, hasOption, type DescMessage, type DescMethod, type Message } from "@bufbuild/protobuf";
import type { GenExtension } from "@bufbuild/protobuf/codegenv2";
import { MethodOptions_IdempotencyLevel as Level, type MethodOptions } from "@bufbuild/protobuf/wkt";
import { cache, invalidates, type CacheRule } from "../../../gen/ts/heddle/gateway/v1/options_pb.ts";
import { compileTag, MAX_TAGS, type TagTemplate } from "../../../mesh/cache/tag-templates.ts";
import { durationMs } from "../../../mesh/config.ts";
import { messageOf } from "../../../mesh/errors.ts";

/** How a method uses the response cache: it reads from it, or it makes what is in it invalid. */
export interface Caching {
  readonly read: ReadRule | undefined;
  readonly write: WriteRule | undefined;
}

/** How responses of a method are cached. */
export interface ReadRule extends Messages {
  /** At least 1. */
  readonly ttlMs: number;
  readonly graceMs: number;
  /** Whether all callers may be given the same response. */
  readonly isPublic: boolean;
  /** Names of request headers, in lower case, sorted. */
  readonly vary: readonly string[];
  readonly tags: readonly TagTemplate[];
}

/** What a call of a method makes invalid. */
export interface WriteRule extends Messages {
  readonly tags: readonly TagTemplate[];
}

interface Messages {
  readonly input: DescMessage;
  readonly output: DescMessage;
}

/** 30 days: the tier counts in 32 bits of milliseconds. */
const MAX_MS = 30 * 86_400_000;

// RFC 9110, 5.6.2, as far as gRPC can carry it.
const HEADER_NAME = /^[0-9a-z_.-]+$/;

/** Reads the options of a method; undefined if it has none that can be kept. */
export function cachingOf(method: DescMethod): { caching: Caching | undefined; problems: string[] } {
  const problems: string[] = [];
  const add = (option: string, messages: readonly string[]): void => {
    for (const message of messages) problems.push(`(heddle.gateway.v1.${option}): ${message}`);
  };
  let read: ReadRule | undefined;
  let write: WriteRule | undefined;
  const readOption = optionOf(method, cache);
  if (typeof readOption === "string") add("cache", [readOption]);
  else if (readOption !== undefined) {
    const result = readRule(method, readOption);
    add("cache", result.problems);
    read = result.rule;
  }
  const writeOption = optionOf(method, invalidates);
  if (typeof writeOption === "string") add("invalidates", [writeOption]);
  else if (writeOption !== undefined) {
    const result = writeRule(method, writeOption.tags);
    add("invalidates", result.problems);
    write = result.rule;
  }
  return { caching: read === undefined && write === undefined ? undefined : { read, write }, problems };
}

/** The value of an option, or why it cannot be read; undefined without it. */
function optionOf<Value extends Message>(
  method: DescMethod,
  extension: GenExtension<MethodOptions, Value>,
): Value | string | undefined {
  try {
    return hasOption(method, extension) ? getOption(method, extension) : undefined;
  } catch (error) {
    return `it cannot be read: ${messageOf(error)}`;
  }
}

function readRule(
  method: DescMethod,
  { ttl, grace, public: isPublic, vary, tags }: CacheRule,
): { rule: ReadRule | undefined; problems: string[] } {
  const problems: string[] = [];
  if (method.methodKind !== "unary") problems.push("only unary methods can be cached");
  if (method.idempotency !== Level.NO_SIDE_EFFECTS)
    problems.push("only a method with idempotency_level = NO_SIDE_EFFECTS can be cached");
  const ttlMs = durationMs(ttl, 0);
  const graceMs = durationMs(grace, 0);
  if (!(ttlMs >= 1 && ttlMs <= MAX_MS)) problems.push("ttl must be from 1 ms to 30 days");
  if (!(graceMs >= 0 && graceMs <= MAX_MS)) problems.push("grace must be from 0 to 30 days");
  for (const name of vary) {
    if (!HEADER_NAME.test(name)) problems.push(`vary: "${name}" is no header name in lower case`);
  }
  if (tags.length > MAX_TAGS) problems.push(`there are ${tags.length} tags; the most are ${MAX_TAGS}`);
  const templates = compiled(method, tags, problems);
  if (problems.length > 0) return { rule: undefined, problems };
  const { input, output } = method;
  const names = [...new Set(vary)].sort();
  return { rule: { ttlMs, graceMs, isPublic, vary: names, tags: templates, input, output }, problems };
}

/** Tags that can be invalidated are, even if another one of the method is wrong. */
function writeRule(
  method: DescMethod,
  tags: readonly string[],
): { rule: WriteRule | undefined; problems: string[] } {
  const problems: string[] = [];
  if (method.methodKind !== "unary") problems.push("only unary methods can invalidate");
  if (method.idempotency === Level.NO_SIDE_EFFECTS)
    problems.push("a method with NO_SIDE_EFFECTS changes nothing that could be invalidated");
  if (problems.length > 0) return { rule: undefined, problems };
  if (tags.length === 0) problems.push("there are no tags");
  const templates = compiled(method, tags, problems);
  const { input, output } = method;
  return { rule: templates.length === 0 ? undefined : { tags: templates, input, output }, problems };
}

function compiled({ input, output }: DescMethod, tags: readonly string[], problems: string[]): TagTemplate[] {
  const templates = tags.map((tag) => compileTag(tag, input, output));
  for (const template of templates) if (typeof template === "string") problems.push(`tags: ${template}`);
  return templates.filter((template): template is TagTemplate => typeof template !== "string");
}
