/** What the tests of the registry's client side share. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient, createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import {
  InstanceSchema,
  InstanceState,
  RegistryService,
  type Instance,
} from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import type { DialRegistry } from "./dial.ts";

/** The id of instance number `n`. */
export function idOf(n: number): string {
  return `01H${String(n).padStart(23, "0")}`;
}

/** Instance number `n`: serving `test.v1.EchoService` unless told otherwise. */
export function instanceOf(n: number, fields: MessageInitShape<typeof InstanceSchema> = {}): Instance {
  return create(InstanceSchema, {
    instanceId: idOf(n),
    address: `127.0.0.1:${9000 + n}`,
    weight: 1,
    version: "1.0.0",
    services: ["test.v1.EchoService"],
    state: InstanceState.SERVING,
    ...fields,
  });
}

/** Reaches registries in memory, by endpoint. Those that are missing refuse every call. */
export function dialInMemory(
  registries: Readonly<Record<string, Partial<ServiceImpl<typeof RegistryService>>>>,
): DialRegistry {
  return (endpoint) => {
    const transport = createRouterTransport(({ service }) => {
      service(RegistryService, registries[endpoint] ?? {});
    });
    return { client: createClient(RegistryService, transport), close: () => Promise.resolve() };
  };
}
