/** The living instances of a service as the balancer sees them. */
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";

/** An observable set of the instances that offer one service. */
export interface InstanceSet {
  /** The instances that may be sent calls now. A new array after every change, the same one in between. */
  current(): readonly Instance[];
  /**
   * All that are SERVING, also those whose last sign of life is overdue: for those who must not take a moment's silence
   * for a loss, because leases alone decide, such as the ring of the cache.
   */
  serving(): readonly Instance[];
  /** Resolves at the next change of either. */
  changed(signal: AbortSignal): Promise<void>;
}

/** Turns a service's full name into its instances. */
export interface Resolver {
  /** The set for a service; the same one for the same name. It may be empty at first. */
  watch(service: string): InstanceSet;
  /** Resolves once the first answer about the service is there, with whatever it says. */
  ready(service: string, signal: AbortSignal): Promise<void>;
  /** Stops watching. */
  close(): Promise<void>;
}
