/** `npm run heddle -- …`: the command line of a running stack. */
import { cacheCommand, CACHE_USAGE } from "./cache.ts";

const [area, ...args] = process.argv.slice(2);
if (area === "cache") {
  process.exitCode = await cacheCommand(args, (line) => console.log(line));
} else {
  console.error(CACHE_USAGE);
  process.exitCode = 64;
}
