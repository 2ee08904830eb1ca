/**
 * Builds the route table from all that the services of the mesh have told. What is wrong with one route is reported and
 * costs nothing else; the result depends on the services alone, not on the order in which they came.
 */
import { createRegistry, type DescFile, type DescMethod } from "@bufbuild/protobuf";
import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { methodInfo } from "../../mesh/rpc/method.ts";
import { cachingOf } from "../policy/response-cache/rules.ts";
import { bindingsOf } from "./bindings.ts";
import { baseRegistry, learn, type Learned } from "./descriptors.ts";
import { compileRequest } from "./request.ts";
import { compileReply } from "./response.ts";
import { createRouter, type Entry } from "./router.ts";
import type { MethodEntry, Route, RouteProblem, RouteTable, ServiceDescriptors } from "./types.ts";
import { newestFirst } from "./versions.ts";

/**
 * Builds a table. Of routes that match the same requests, that of the method whose full name comes first in the alphabet
 * stays. Pass the same `files` array for the same digest, so that what is compiled for it is kept.
 */
export function buildRouteTable(services: readonly ServiceDescriptors[]): {
  table: RouteTable;
  problems: RouteProblem[];
} {
  const sets = [...services].sort(newestFirst).map((set) => ({ set, learned: learn(set.files) }));
  const problems: RouteProblem[] = [];
  const methods = collectMethods(sets, problems);
  for (const method of methods.values())
    for (const message of cachingRules(method.desc).problems) problems.push(problemOf(method, message));
  const entries = [...methods.values()].flatMap((method) => entriesOf(method, problems));
  const { router, duplicates } = createRouter(entries);
  for (const { kept, refused } of duplicates) problems.push(conflict(kept, refused));
  const refused = new Set(duplicates.map((duplicate) => duplicate.refused));
  const table: RouteTable = {
    match(httpMethod, path) {
      const found = router(httpMethod, path);
      return "target" in found ? { route: found.target, variables: found.variables } : found;
    },
    routes: entries.filter((entry) => !refused.has(entry)).map(({ target }) => target),
    methods,
    services: [...new Set([...methods.values()].map(({ info }) => info.service))].sort(),
    files: filesOf(sets),
    // The one given last wins.
    registry: createRegistry(baseRegistry, ...sets.map(({ learned }) => learned.registry).toReversed()),
  };
  return { table, problems };
}

interface LearnedSet {
  readonly set: ServiceDescriptors;
  readonly learned: Learned;
}

type Building = MethodEntry & { readonly digests: string[] };

/** All methods, in alphabetical order of their paths; each as its newest version has it. */
function collectMethods(sets: readonly LearnedSet[], problems: RouteProblem[]): Map<string, MethodEntry> {
  const methods = new Map<string, Building>();
  for (const { set, learned } of sets) {
    for (const service of new Set(set.services)) {
      const desc = learned.services.get(service);
      if (desc === undefined) {
        const message = learned.broken.get(service) ?? "its descriptor is missing";
        problems.push({ digest: set.digest, service, method: undefined, message });
      }
      for (const method of desc?.methods ?? []) addMethod(methods, method, set.digest, learned);
    }
  }
  return new Map([...methods].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function addMethod(
  methods: Map<string, Building>,
  desc: DescMethod,
  digest: string,
  { registry }: Learned,
): void {
  const info = methodInfo(desc);
  const newer = methods.get(info.path);
  if (newer !== undefined) newer.digests.push(digest);
  else {
    methods.set(info.path, {
      info,
      desc,
      input: desc.input,
      output: desc.output,
      digests: [digest],
      registry,
      caching: cachingRules(desc).caching,
    });
  }
}

function entriesOf(method: MethodEntry, problems: RouteProblem[]): Entry<Route>[] {
  const { parts, messages } = compile(method);
  for (const message of messages) problems.push(problemOf(method, message));
  return parts.map((part) => ({
    httpMethod: part.binding.httpMethod,
    template: part.binding.template,
    target: { method, ...part },
  }));
}

/** What of the routes of a method depends on its descriptor alone. */
interface Compiled {
  readonly parts: readonly Omit<Route, "method">[];
  /** What is wrong with its rules. */
  readonly messages: readonly string[];
}

// A table is built anew whenever an instance brings another API, so what did not change must cost next to nothing.
const compiled = new WeakMap<DescMethod, Compiled>();

function compile(method: MethodEntry): Compiled {
  let result = compiled.get(method.desc);
  if (result === undefined) {
    const { bindings, problems } = bindingsOf(method.desc);
    const parts = bindings.map((binding) => ({
      binding,
      requestEncoder: compileRequest(binding, method),
      replyEncoder: compileReply(binding, method),
    }));
    compiled.set(method.desc, (result = { parts, messages: problems }));
  }
  return result;
}

const cachingOfMethods = new WeakMap<DescMethod, ReturnType<typeof cachingOf>>();

function cachingRules(desc: DescMethod): ReturnType<typeof cachingOf> {
  let result = cachingOfMethods.get(desc);
  if (result === undefined) cachingOfMethods.set(desc, (result = cachingOf(desc)));
  return result;
}

function conflict(kept: Entry<Route>, refused: Entry<Route>): RouteProblem {
  const { service, method } = kept.target.method.info;
  const route = `${refused.httpMethod} ${refused.template.source}`;
  const other = `${kept.httpMethod} ${kept.template.source} of ${service}.${method}`;
  return problemOf(refused.target.method, `${route} matches the same requests as ${other}, which stays`);
}

function problemOf({ info, digests }: MethodEntry, message: string): RouteProblem {
  return { digest: digests[0] ?? "", service: info.service, method: info.method, message };
}

/** Each file once, in its newest version. */
function filesOf(sets: readonly LearnedSet[]): FileDescriptorProto[] {
  const files = new Map<string, DescFile>();
  const add = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    file.dependencies.forEach(add);
  };
  for (const { learned } of sets) learned.files.forEach(add);
  return [...files.values()].map(({ proto }) => proto);
}
