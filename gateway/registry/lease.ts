/** What an instance is told of its lease. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Instance, LeaseSchema } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { beatIntervalMs, leaseMsOf } from "./store.ts";

/** The lease that an instance gets from a registry that gives `configuredMs` to those that ask for none. */
export function leaseFor(instance: Instance, configuredMs: number): MessageInitShape<typeof LeaseSchema> {
  return leaseOf(leaseMsOf(instance, configuredMs));
}

/** A lease of this length. */
export function leaseOf(leaseMs: number): MessageInitShape<typeof LeaseSchema> {
  return { ttl: durationFromMs(leaseMs), beatInterval: durationFromMs(beatIntervalMs(leaseMs)) };
}
