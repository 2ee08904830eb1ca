/** Reaches the registry of one gateway. */
import { createClient, type Client } from "@connectrpc/connect";
import { RegistryService } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { createChannel } from "../rpc/channel.ts";
import { createTransport } from "../rpc/transport.ts";

/** A client of one registry, and how to close it. */
export interface RegistryConnection {
  readonly client: Client<typeof RegistryService>;
  readonly close: () => Promise<void>;
}

/** Makes a connection to a control address, `host:port`. It connects with the first call. */
export type DialRegistry = (address: string) => RegistryConnection;

/** Dials with a channel of the mesh. */
export const dialRegistry: DialRegistry = (address) => {
  const channel = createChannel({ address });
  return { client: createClient(RegistryService, createTransport(channel)), close: () => channel.close() };
};
