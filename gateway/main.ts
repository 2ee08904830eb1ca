/** Runs a gateway: `node gateway/main.ts --config gateway.yaml`. */
import { configOrExit } from "../mesh/config.ts";
import { stopOnSignal } from "../mesh/lifecycle.ts";
import { startGateway, StartError } from "./gateway.ts";

/** Exit status of a process that could not get what it needs (`EX_UNAVAILABLE` of sysexits.h). */
const EXIT_UNAVAILABLE = 69;

const config = configOrExit();
try {
  const gateway = await startGateway(config);
  stopOnSignal(() => gateway.stop(), gateway.log);
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(EXIT_UNAVAILABLE);
}
