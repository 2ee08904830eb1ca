/** What the pipeline knows of a method, read from its descriptor: the contract decides behaviour. */
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { DescMethod } from "@bufbuild/protobuf";
import type { Idempotency, MethodInfo } from "./call.ts";

const known = new WeakMap<DescMethod, MethodInfo>();

/** The method as policies see it; always the same object for the same descriptor. */
export function methodInfo(desc: DescMethod): MethodInfo {
  let info = known.get(desc);
  if (info === undefined) {
    info = {
      service: desc.parent.typeName,
      method: desc.name,
      path: `/${desc.parent.typeName}/${desc.name}`,
      kind: desc.methodKind,
      idempotency: idempotencies[desc.idempotency],
    };
    known.set(desc, info);
  }
  return info;
}

/** Whether running the method twice leaves the same as running it once. Everything else is sent at most once. */
export function isRepeatable(method: MethodInfo): boolean {
  return method.idempotency !== "unknown";
}

const idempotencies: Readonly<Record<MethodOptions_IdempotencyLevel, Idempotency>> = {
  [MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN]: "unknown",
  [MethodOptions_IdempotencyLevel.IDEMPOTENT]: "idempotent",
  [MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS]: "no_side_effects",
};
