/**
 * The ports of the local stack: one table of names and defaults, changed by `local.ports` in the configuration. All of
 * them are tried before anything starts, so that a taken port is named together with the key that moves it.
 */
import { createServer } from "node:net";

/** Every port by the name that `local.ports` knows. */
export const DEFAULT_PORTS = {
  gateway: 8080,
  gateway_2: 8081,
  control: 7070,
  control_2: 7071,
  order: 7101,
  order_2: 7102,
  inventory: 7103,
  inventory_2: 7104,
  consumer: 7105,
  kitchen: 7106,
  accounting: 7107,
  cache: 7201,
  cache_2: 7202,
  cache_3: 7203,
  mysql: 3311,
  mysql_2: 3312,
  mysql_3: 3313,
  redis: 6390,
  temporal: 7233,
  temporal_ui: 8233,
  temporal_metrics: 8234,
  gateway_admin: 9100,
  gateway_2_admin: 9101,
  order_admin: 9102,
  order_2_admin: 9103,
  inventory_admin: 9104,
  inventory_2_admin: 9105,
  consumer_admin: 9106,
  kitchen_admin: 9107,
  accounting_admin: 9108,
  worker_admin: 9109,
  cache_admin: 9110,
  cache_2_admin: 9111,
  cache_3_admin: 9112,
} as const;

/** Name of a port. */
export type PortName = keyof typeof DEFAULT_PORTS;

/** A complete assignment. */
export type Ports = Readonly<Record<PortName, number>>;

/** The defaults with the configured changes. Returns problems instead where a name is unknown or a port is given twice. */
export function assignPorts(overrides: Readonly<Record<string, number>>): {
  ports: Ports;
  problems: string[];
} {
  const known = Object.keys(DEFAULT_PORTS);
  const problems = Object.keys(overrides)
    .filter((name) => !known.includes(name))
    .map((name) => `local.ports.${name}: unknown port name; known: ${known.join(", ")}`);
  const ports: Ports = { ...DEFAULT_PORTS, ...overrides };
  const seen = new Map<number, string>();
  for (const [name, port] of Object.entries(ports)) {
    const other = seen.get(port);
    if (other !== undefined)
      problems.push(`local.ports.${name}: ${port} is the port of ${other} too; give another one`);
    seen.set(port, name);
  }
  return { ports, problems };
}

/** One sentence for each of these ports that cannot be listened on. */
export async function occupiedPorts(ports: Ports, names: readonly PortName[]): Promise<string[]> {
  const problems = await Promise.all(names.map(async (name) => ({ name, code: await tryPort(ports[name]) })));
  return problems
    .filter(({ code }) => code !== undefined)
    .map(
      ({ name, code }) =>
        `port ${ports[name]} of ${name} ${code === "EADDRINUSE" ? "is in use" : `cannot be used (${code})`}: ` +
        `stop what holds it, or set local.ports.${name} (HEDDLE__LOCAL__PORTS__${name.toUpperCase()}=NNNN)`,
    );
}

function tryPort(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
