/** A gateway as a process of its own, on free ports, with a configuration file as an operator writes it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNode, type NodeProcess } from "./node-process.ts";

/** A running gateway. */
export interface GatewayProcess extends NodeProcess {
  /** `host:port` of the public edge. */
  readonly edge: string;
  /** `http://host:port` of the public edge. */
  readonly url: string;
  /** `http://host:port` of the admin port. */
  readonly admin: string;
  /** `host:port` of the registry. */
  readonly control: string;
}

/** Starts a gateway with this YAML beside free ports; resolves once it is ready. */
export async function startGateway(yaml: string, nodeArgs: readonly string[] = []): Promise<GatewayProcess> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-gateway-"));
  const file = join(folder, "gateway.yaml");
  writeFileSync(file, `listen: 127.0.0.1:0\ncontrol: 127.0.0.1:0\nadmin: 127.0.0.1:0\n${yaml}\n`);
  try {
    const gateway = await startNode([...nodeArgs, "gateway/main.ts", "--config", file], {
      readyMessage: "ready",
    });
    const { listen = "", control = "", admin = "" } = gateway.ready;
    return { ...gateway, edge: listen, url: `http://${listen}`, control, admin: `http://${admin}` };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Starts the echo service as a process. `env` configures it like any service. */
export function startEcho(env: Readonly<Record<string, string>> = {}): Promise<NodeProcess> {
  return startNode(["gateway/testing/echo-server.ts"], {
    readyMessage: "serving",
    env: { HEDDLE__LISTEN: "127.0.0.1:0", HEDDLE__ADMIN: "127.0.0.1:0", ...env },
  });
}
