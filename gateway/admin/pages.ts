/** What the admin port of a gateway shows beside health and metrics: its routes and its instances, as JSON. */
import { toJson } from "@bufbuild/protobuf";
import { InstanceSchema } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import type { Registry } from "../registry/registry.ts";
import type { Route } from "../routes/types.ts";
import type { Catalog } from "../upstreams/catalog.ts";

/** The pages by path. */
export function gatewayPages(registry: Registry, catalog: Catalog): Record<string, () => unknown> {
  return {
    "/routes": () => ({
      services: catalog.table().services,
      routes: catalog.table().routes.map(shownRoute),
      problems: catalog.problems(),
    }),
    "/instances": () => ({
      revision: registry.revision(),
      staleMs: Math.round(registry.staleMs()),
      instances: [...registry.instances().values()].map((instance) => ({
        ...(toJson(InstanceSchema, instance) as Record<string, unknown>),
        problems: registry.problems.get(instance.instanceId),
      })),
    }),
  };
}

function shownRoute({ method, binding }: Route) {
  const { service, method: name, kind, idempotency } = method.info;
  return {
    httpMethod: binding.httpMethod,
    template: binding.template.source,
    rpc: `${service}/${name}`,
    kind,
    idempotency,
  };
}
