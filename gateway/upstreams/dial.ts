/** Asks the server at an address for its API, on a connection of its own that ends with the answer. */
import { createChannel } from "../../mesh/rpc/channel.ts";
import { createTransport } from "../../mesh/rpc/transport.ts";
import { learnApi, type LearnedApi } from "./reflect.ts";

/** How long a server may take to tell its API. */
const LEARN_TIMEOUT_MS = 5000;

/** Learns the API of the server at `host:port`. Rejects as `learnApi` does, and after 5 s. */
export async function learnAt(address: string, signal: AbortSignal): Promise<LearnedApi> {
  const channel = createChannel({ address });
  try {
    return await learnApi(
      createTransport(channel),
      AbortSignal.any([signal, AbortSignal.timeout(LEARN_TIMEOUT_MS)]),
    );
  } finally {
    await channel.close();
  }
}
