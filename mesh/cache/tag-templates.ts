/**
 * Tags of a call from templates such as `product:{sku}`, whose fields come from the request or from the response. A
 * template is checked against the messages once. Readers and writers use the same templates, so that what a writer
 * invalidates is what a reader was tagged with.
 */
import { ScalarType, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";

/** A template that fits its method. */
export interface TagTemplate {
  /** As it stands in the .proto. */
  readonly source: string;
  /** The tag that stands for all tags of the template, such as `product:*`; the same as `source` without fields. */
  readonly listing: string;
  /** Whether it has fields of the response, which are not known when a call fails. */
  readonly needsResponse: boolean;
  /** Whether it has no fields. */
  readonly isFixed: boolean;
  /** Whether it can give this tag. */
  gives(tag: string): boolean;
  /** The tags of a call; none if a field that it needs is absent. */
  tags(request: Message, response: Message | undefined): string[];
}

/** Most tags of one entry; a limit of the tier. */
export const MAX_TAGS = 8;

/** Checks a template; a string says what is wrong with it. */
export function compileTag(source: string, input: DescMessage, output: DescMessage): TagTemplate | string {
  if (source === "" || source.length > 256) return `a tag has from 1 to 256 characters: "${source}"`;
  const parts = source.split(/(\{[^{}]*\})/);
  const literals = parts.filter((_, index) => index % 2 === 0);
  if (literals.some((literal) => /[{}*]/.test(literal)))
    return `"${source}" has a brace without its other one, or a *`;
  const paths: FieldPath[] = [];
  for (const part of parts.filter((_, index) => index % 2 === 1)) {
    const path = resolve(part.slice(1, -1), input, output);
    if (typeof path === "string") return `"${source}": ${path}`;
    paths.push(path);
  }
  const pattern = new RegExp(`^${literals.map(escaped).join("[^]*")}$`);
  return {
    source,
    listing: literals.join("*"),
    needsResponse: paths.some(({ of }) => of === "response"),
    isFixed: paths.length === 0,
    gives: (tag) => pattern.test(tag),
    tags: (request, response) => expand(literals, paths, request, response),
  };
}

/** Tags of a cached response: at most `MAX_TAGS`; the templates that give most are replaced by their listing tags. */
export function entryTags(templates: readonly TagTemplate[], request: Message, response: Message): string[] {
  const given = templates.map((template) => ({
    tags: [...new Set(template.tags(request, response))],
    listing: template.listing,
  }));
  const count = () => new Set(given.flatMap(({ tags }) => tags)).size;
  while (count() > MAX_TAGS) {
    const longest = given.reduce((a, b) => (b.tags.length > a.tags.length ? b : a));
    if (longest.tags.length <= 1) break;
    longest.tags = [longest.listing];
  }
  return [...new Set(given.flatMap(({ tags }) => tags))].slice(0, MAX_TAGS);
}

/**
 * Tags that a call makes invalid, with the listing tags that stand for them. `response` is undefined if it is not known:
 * then what would need it is left out, save the listing tags.
 */
export function invalidatedTags(
  templates: readonly TagTemplate[],
  request: Message,
  response: Message | undefined,
): string[] {
  const all = templates.flatMap((template) => [template.listing, ...template.tags(request, response)]);
  return [...new Set(all)];
}

interface FieldPath {
  readonly of: "request" | "response";
  readonly fields: readonly DescField[];
}

/** A field of the request if it has one of that name, else of the response. */
function resolve(name: string, input: DescMessage, output: DescMessage): FieldPath | string {
  const inRequest = fieldsAt(name, input);
  if (typeof inRequest !== "string") return { of: "request", fields: inRequest };
  const inResponse = fieldsAt(name, output);
  if (typeof inResponse !== "string") return { of: "response", fields: inResponse };
  const hasFirst = input.fields.some((field) => field.name === name.split(".")[0]);
  return `{${name}} ${hasFirst ? inRequest : inResponse}`;
}

function fieldsAt(name: string, desc: DescMessage): DescField[] | string {
  const fields: DescField[] = [];
  let parent: DescMessage | undefined = desc;
  for (const component of name.split(".")) {
    const field: DescField | undefined = parent?.fields.find((each) => each.name === component);
    if (field === undefined) return "is a field of neither the request nor the response";
    if (field.fieldKind === "map") return "goes through a map";
    fields.push(field);
    parent = field.message;
  }
  const leaf = fields.at(-1);
  const isText = leaf !== undefined && leaf.message === undefined && !unfit.has(leaf.scalar);
  return isText ? fields : "is neither text, number, bool nor enum";
}

const unfit: ReadonlySet<ScalarType | undefined> = new Set([
  ScalarType.DOUBLE,
  ScalarType.FLOAT,
  ScalarType.BYTES,
]);

function expand(
  literals: readonly string[],
  paths: readonly FieldPath[],
  request: Message,
  response: Message | undefined,
): string[] {
  let tags = [literals[0] ?? ""];
  for (const [index, { of, fields }] of paths.entries()) {
    const message = of === "request" ? request : response;
    const desc = fields[0]?.parent;
    if (message === undefined || desc === undefined) return [];
    const values = valuesAt(reflect(desc, message), fields);
    tags = tags.flatMap((tag) => values.map((value) => `${tag}${value}${literals[index + 1] ?? ""}`));
  }
  return tags;
}

function valuesAt(message: ReflectMessage, [field, ...rest]: readonly DescField[]): string[] {
  if (field === undefined) return [];
  if (field.fieldKind === "list") {
    return [...message.get(field)].flatMap((item) => valuesOf(field, item, rest));
  }
  if ((field.fieldKind === "message" || field.oneof !== undefined) && !message.isSet(field)) return [];
  return valuesOf(field, message.get(field), rest);
}

function valuesOf(field: DescField, value: unknown, rest: readonly DescField[]): string[] {
  if (rest.length > 0) return valuesAt(value as ReflectMessage, rest);
  if (field.enum !== undefined) return [field.enum.value[value as number]?.name ?? String(value)];
  return [String(value)];
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
