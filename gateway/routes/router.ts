/**
 * Finds the route of a path. At each segment a literal is tried before `*`, and `*` before `**`, with backtracking, so
 * the order in which routes were added has no influence. Values are decoded once, after matching.
 */
import { decodeSegment, decodeSegments } from "./percent.ts";
import type { Segment, Template } from "./template.ts";
import type { Disallowed, NotFound } from "./types.ts";

/** A path template with the HTTP method it is for, and what it leads to. */
export interface Entry<T> {
  /** Or `*` for every method. */
  readonly httpMethod: string;
  readonly template: Template;
  readonly target: T;
}

/** What a path led to. */
export interface Found<T> {
  readonly target: T;
  /** Values of the template's variables, in its order, decoded once. Undefined: the percent-encoding is broken. */
  readonly variables: readonly (string | undefined)[];
}

/** Finds targets. See `RouteTable.match`. */
export type Router<T> = (httpMethod: string, path: string) => Found<T> | NotFound | Disallowed;

/** Entries that match exactly the same requests as an earlier one, which stays. */
export interface Duplicate<T> {
  readonly kept: Entry<T>;
  readonly refused: Entry<T>;
}

/** Builds a router. Of entries that match the same requests, the first one in the list stays. */
export function createRouter<T>(entries: readonly Entry<T>[]): {
  router: Router<T>;
  duplicates: Duplicate<T>[];
} {
  const root = newNode<T>();
  const verbs = new Set<string>();
  const duplicates: Duplicate<T>[] = [];
  for (const entry of entries) {
    const kept = insert(root, entry);
    if (kept !== undefined) duplicates.push({ kept, refused: entry });
    else if (entry.template.verb !== "") verbs.add(entry.template.verb);
  }
  return { router: (httpMethod, path) => route(root, verbs, httpMethod, path), duplicates };
}

/** Entries by HTTP method. */
type Leaf<T> = Map<string, Entry<T>>;

interface Node<T> {
  readonly literals: Map<string, Node<T>>;
  single: Node<T> | undefined;
  /** What ends here, by verb. */
  readonly ends: Map<string, Leaf<T>>;
  /** What takes everything from here on, by verb. */
  readonly rests: Map<string, Leaf<T>>;
}

interface Search {
  /** Segments as they came. */
  readonly raw: readonly string[];
  /** Segments decoded, for comparison with literals. */
  readonly decoded: readonly string[];
  readonly verb: string;
  readonly httpMethod: string;
  /** Methods of leaves that have the path but not the method. */
  readonly allowed: Set<string>;
}

const notFound: NotFound = { notFound: true };

function route<T>(
  root: Node<T>,
  verbs: ReadonlySet<string>,
  httpMethod: string,
  path: string,
): Found<T> | NotFound | Disallowed {
  if (!path.startsWith("/")) return notFound;
  const raw = path.slice(1).split("/");
  const last = raw.at(-1) ?? "";
  const colon = last.lastIndexOf(":");
  if (colon >= 0 && verbs.size > 0) {
    const verb = literalOf(last.slice(colon + 1));
    // A verb that a template of this path has is a verb, whatever the method; any other is a part of the value.
    if (verbs.has(verb)) {
      const found = search(root, [...raw.slice(0, -1), last.slice(0, colon)], verb, httpMethod);
      if (!("notFound" in found)) return found;
    }
  }
  return search(root, raw, "", httpMethod);
}

function search<T>(
  root: Node<T>,
  raw: readonly string[],
  verb: string,
  httpMethod: string,
): Found<T> | NotFound | Disallowed {
  const decoded = raw.some((segment) => segment.includes("%")) ? raw.map(literalOf) : raw;
  const allowed = new Set<string>();
  const entry = descend(root, 0, { raw, decoded, verb, httpMethod, allowed });
  if (entry !== undefined) return { target: entry.target, variables: valuesOf(entry.template, raw) };
  return allowed.size === 0 ? notFound : { allow: allowList(allowed) };
}

function descend<T>(node: Node<T>, depth: number, search: Search): Entry<T> | undefined {
  if (depth === search.raw.length) {
    return pick(node.ends.get(search.verb), search) ?? pick(node.rests.get(search.verb), search);
  }
  const segment = search.decoded[depth] ?? "";
  const literal = node.literals.get(segment);
  if (literal !== undefined) {
    const found = descend(literal, depth + 1, search);
    if (found !== undefined) return found;
  }
  // `*` takes no empty segment: /v1/items/ is not /v1/items/{id}, and // is not a value.
  if (node.single !== undefined && segment !== "") {
    const found = descend(node.single, depth + 1, search);
    if (found !== undefined) return found;
  }
  return pick(node.rests.get(search.verb), search);
}

function pick<T>(leaf: Leaf<T> | undefined, { httpMethod, allowed }: Search): Entry<T> | undefined {
  if (leaf === undefined) return undefined;
  const entry =
    leaf.get(httpMethod) ?? (httpMethod === "HEAD" ? leaf.get("GET") : undefined) ?? leaf.get("*");
  if (entry === undefined) for (const method of leaf.keys()) allowed.add(method);
  return entry;
}

function allowList(methods: Set<string>): string[] {
  methods.add("OPTIONS");
  if (methods.has("GET")) methods.add("HEAD");
  return [...methods].sort();
}

function valuesOf({ variables, segments }: Template, raw: readonly string[]): (string | undefined)[] {
  return variables.map(({ start, end, multi }) => {
    if (!multi) return decodeSegment(raw[start] ?? "");
    const open = segments[end - 1]?.kind === "multi";
    return decodeSegments(raw.slice(start, open ? undefined : end).join("/"));
  });
}

/** Adds an entry, or returns the one that is in its place. */
function insert<T>(root: Node<T>, entry: Entry<T>): Entry<T> | undefined {
  let node = root;
  let leaves = node.ends;
  for (const segment of entry.template.segments) {
    if (segment.kind === "multi") leaves = node.rests;
    else {
      node = child(node, segment);
      leaves = node.ends;
    }
  }
  let leaf = leaves.get(entry.template.verb);
  if (leaf === undefined) leaves.set(entry.template.verb, (leaf = new Map()));
  const kept = leaf.get(entry.httpMethod);
  if (kept === undefined) leaf.set(entry.httpMethod, entry);
  return kept;
}

function child<T>(node: Node<T>, segment: Exclude<Segment, { kind: "multi" }>): Node<T> {
  if (segment.kind === "single") return (node.single ??= newNode());
  let next = node.literals.get(segment.text);
  if (next === undefined) node.literals.set(segment.text, (next = newNode()));
  return next;
}

function newNode<T>(): Node<T> {
  return { literals: new Map(), single: undefined, ends: new Map(), rests: new Map() };
}

/** A segment as literals are compared: decoded, so that `%66oo` is `foo`. Broken encoding is no literal. */
function literalOf(segment: string): string {
  return decodeSegment(segment) ?? segment;
}
