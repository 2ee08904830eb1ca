import { readFileSync } from "node:fs";
import { fromJsonString, type DescMethod, type DescMethodUnary, type Message } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import { createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { RegistryService } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { createRegistry } from "./registry.ts";
import { createRegistryService } from "./service.ts";
import { createMemoryStore } from "./stores/memory.ts";

const page = readFileSync(new URL("../../docs/registry.md", import.meta.url), "utf8");
const commands = [
  ...page.matchAll(/grpcurl -plaintext -d '(?<json>[^']*)'[^`]*RegistryService\/(?<name>\w+)/g),
];

test("the calls of docs/registry.md work, in their order", async () => {
  const registry = createRegistry({ store: createMemoryStore() });
  const implementation = createRegistryService(registry);
  const transport = createRouterTransport((router) => void router.service(RegistryService, implementation));
  const answers: Record<string, Message> = {};
  for (const { groups } of commands) {
    const method = RegistryService.methods.filter(isUnary).find(({ name }) => name === groups?.["name"]);
    if (method === undefined) throw new Error(`no such unary method: ${groups?.["name"]}`);
    const request = fromJsonString(method.input, groups?.["json"] ?? "");
    expect(createValidator().validate(method.input, request).kind).toBe("valid");
    answers[method.name] = (await transport.unary(method, undefined, undefined, undefined, request)).message;
  }
  expect(Object.keys(answers)).toEqual(["Register", "Heartbeat", "Deregister", "Resolve"]);
  expect(answers["Heartbeat"]).toHaveProperty("lease.beatInterval.seconds", 5n);
  await registry.close();
});

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}
