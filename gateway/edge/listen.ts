/** Binds a server to a configured address, with an error that says which one and what to change. */
import type { Server } from "node:net";
import { messageOf } from "../../mesh/errors.ts";

/** An address that could not be bound. */
export class ListenError extends Error {
  constructor(address: string, cause: unknown) {
    super(`cannot listen on ${address}: ${explain(cause)}`, { cause });
    this.name = "ListenError";
  }
}

/** Listens on `host:port` (`[::1]:80` for IPv6) and resolves with the address, port 0 replaced by the one it got. */
export function listenOn(server: Server, address: string): Promise<string> {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon);
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(new ListenError(address, error));
    server.once("error", fail);
    server.listen(Number(address.slice(colon + 1)), host.replace(/^\[(.*)\]$/, "$1"), () => {
      server.off("error", fail);
      const bound = server.address();
      const port = typeof bound === "object" && bound !== null ? bound.port : 0;
      resolve(`${host}:${port}`);
    });
  });
}

function explain(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === "EADDRINUSE") return "another program listens there";
  if (code === "EACCES") return "the system does not allow it";
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") return "this machine has no such address";
  return messageOf(cause);
}
