/** The namespaces of a node, found by the keys that begin with their names. */

/** How many copies a write waits for: one, two, or two if there is a second node. */
export type AckLevel = "one" | "two" | "available";

/** A namespace as a node knows it. */
export interface Namespace {
  readonly name: string;
  readonly ack: AckLevel;
  /** Index of its space in the store. */
  readonly space: number;
  /** A deletion is remembered for at least this long. */
  readonly tombstoneMs: number;
}

/** All namespaces of a node. */
export interface Namespaces {
  readonly all: readonly Namespace[];
  /** The one that a `namespace:key` lies in. */
  of(key: Uint8Array): Namespace | undefined;
}

const COLON = 0x3a;

/** Makes the table. */
export function createNamespaces(all: readonly Namespace[]): Namespaces {
  const byName = new Map(all.map((namespace) => [namespace.name, namespace]));
  // Neighbours mostly lie in one namespace; comparing bytes is cheaper than making a string of them.
  let last: Namespace | undefined;
  let prefix = Buffer.alloc(0);

  return {
    all,
    of(key) {
      if (last !== undefined && startsWith(key, prefix)) return last;
      const found = byName.get(namespaceOf(key) ?? "");
      if (found === undefined) return undefined;
      last = found;
      prefix = Buffer.from(`${found.name}:`, "latin1");
      return found;
    },
  };
}

/** The name before the first colon; undefined without one. */
export function namespaceOf(key: Uint8Array): string | undefined {
  const colon = key.indexOf(COLON);
  if (colon <= 0 || colon > 32) return undefined;
  return Buffer.from(key.buffer, key.byteOffset, colon).toString("latin1");
}

function startsWith(key: Uint8Array, prefix: Uint8Array): boolean {
  if (key.length < prefix.length) return false;
  for (let at = 0; at < prefix.length; at++) if (key[at] !== prefix[at]) return false;
  return true;
}
