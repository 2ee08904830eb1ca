/** `npm run heddle -- …`: the command line of a running stack. */
import { cacheCommand, CACHE_USAGE } from "./cache.ts";

const [area, ...args] = process.argv.slice(2);
if (area === "cache") {
  // What a command waits for does not keep a process alive by itself.
  const alive = setInterval(() => {}, 1000);
  process.exitCode = await cacheCommand(args, (line) => console.log(line));
  clearInterval(alive);
} else {
  console.error(CACHE_USAGE);
  process.exitCode = 64;
}
