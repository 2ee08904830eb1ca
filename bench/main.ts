/** Runs a benchmark by its name: `npm run bench -- gateway`. Each is a file beside this one that exports `run`. */
import { readdirSync } from "node:fs";

/** Files that are parts of benchmarks. */
const parts = ["main.ts", "load.ts", "bare-hop.ts"];

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && !parts.includes(file))
  .map((file) => file.slice(0, -".ts".length));

const [name = "", ...args] = process.argv.slice(2);
if (names.includes(name)) {
  const benchmark = (await import(`./${name}.ts`)) as { run(args: readonly string[]): Promise<void> | void };
  await benchmark.run(args);
} else {
  console.error(`usage: npm run bench -- NAME, where NAME is one of ${names.join(", ")}`);
  process.exitCode = 64;
}
