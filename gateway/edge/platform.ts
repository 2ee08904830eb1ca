/** What the public port offers by itself: health and reflection of the whole mesh, in gRPC, gRPC-Web and Connect. */
import { createConnectRouter, type ServiceImpl } from "@connectrpc/connect";
import { Health } from "../../gen/ts/grpc/health/v1/health_pb.ts";
import { ServerReflection as ReflectionV1 } from "../../gen/ts/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ReflectionV1Alpha } from "../../gen/ts/grpc/reflection/v1alpha/reflection_pb.ts";
import { descriptorSource, createReflection } from "../../mesh/rpc/reflection.ts";
import type { HealthState } from "../../mesh/rpc/health.ts";
import type { RouteTable } from "../routes/types.ts";
import { handlerOptions } from "./connect.ts";
import type { PlatformHandlers } from "./edge.ts";

/** Handlers of the services of the gateway itself, by path. */
export function platformHandlers(
  health: HealthState,
  table: () => RouteTable,
  maxBodyBytes: number,
): PlatformHandlers {
  const own = descriptorSource([Health, ReflectionV1, ReflectionV1Alpha]);
  let shown: { readonly of: RouteTable; readonly files: ReturnType<typeof own.files> } | undefined;
  const reflection = createReflection({
    services: () => [...own.services(), ...table().services],
    files() {
      const current = table();
      if (shown?.of !== current) shown = { of: current, files: [...current.files, ...own.files()] };
      return shown.files;
    },
  });
  const router = createConnectRouter(handlerOptions(maxBodyBytes))
    .service(Health, health.implementation)
    .service(ReflectionV1, reflection)
    // The two versions differ in nothing but the package name.
    .service(ReflectionV1Alpha, reflection as unknown as ServiceImpl<typeof ReflectionV1Alpha>);
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}
