/** A resolver for addresses that are known beforehand: tests, tools, and processes outside of any mesh. */
import { create } from "@bufbuild/protobuf";
import { InstanceSchema, InstanceState, type Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import type { InstanceSet, Resolver } from "./instances.ts";
import { createNotice } from "./notice.ts";

/** Resolves every service to the same addresses, `host:port`, for ever. */
export function createStaticResolver(addresses: readonly string[]): Resolver {
  const instances: readonly Instance[] = addresses.map((address) =>
    create(InstanceSchema, { instanceId: address, address, weight: 1, state: InstanceState.SERVING }),
  );
  const never = createNotice();
  const set: InstanceSet = {
    current: () => instances,
    serving: () => instances,
    changed: (signal) => never.next(signal),
  };
  return {
    watch: () => set,
    ready: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}
