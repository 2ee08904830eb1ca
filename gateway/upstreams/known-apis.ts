/**
 * What the gateway knows of the APIs behind it: one for each descriptor digest, kept while an instance with that digest
 * is known, and beyond, until each of its services has another one. So a service whose instances are all gone is
 * unavailable rather than unknown. No time and no sockets in here.
 */
import { decodeTime } from "ulid";
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import type { ServiceDescriptors } from "../routes/types.ts";
import { compareVersions } from "../routes/versions.ts";
import type { LearnedApi } from "./reflect.ts";

/** APIs by digest. */
export class KnownApis {
  readonly #learned = new Map<string, ServiceDescriptors>();

  /** Whether the API with this digest is known. */
  has(digest: string): boolean {
    return this.#learned.has(digest);
  }

  /** Adds what was learned of one. */
  add(digest: string, { services, files }: LearnedApi): void {
    this.#learned.set(digest, { digest, services, files, version: "", startedAtMs: 0 });
  }

  /**
   * The APIs to serve, given the instances that there are and the API of each. Forgets what no longer matters. The
   * same object comes back for an API of which nothing has changed.
   */
  current(
    instances: Iterable<Instance>,
    apiOf: (instance: Instance) => string | undefined,
  ): ServiceDescriptors[] {
    const offering = new Map<string, Instance[]>();
    for (const instance of instances) {
      const digest = apiOf(instance);
      if (digest === undefined || !this.#learned.has(digest)) continue;
      const group = offering.get(digest);
      if (group === undefined) offering.set(digest, [instance]);
      else group.push(instance);
    }
    const offered = new Set(
      [...offering.keys()].flatMap((digest) => this.#learned.get(digest)?.services ?? []),
    );
    for (const [digest, api] of this.#learned) {
      const group = offering.get(digest);
      if (group !== undefined) this.#learned.set(digest, described(api, group));
      else if (api.services.every((service) => offered.has(service))) this.#learned.delete(digest);
    }
    return [...this.#learned.values()];
  }
}

function described(api: ServiceDescriptors, instances: readonly Instance[]): ServiceDescriptors {
  const version = instances
    .map(({ version }) => version)
    .reduce((highest, version) => (compareVersions(version, highest) > 0 ? version : highest));
  const startedAtMs = Math.max(...instances.map(startOf));
  return version === api.version && startedAtMs === api.startedAtMs ? api : { ...api, version, startedAtMs };
}

/** An instance's id is a ULID, which begins with the time at which its process started. */
function startOf({ instanceId }: Instance): number {
  try {
    return decodeTime(instanceId);
  } catch {
    return 0;
  }
}
