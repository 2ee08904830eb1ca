/**
 * The workflows as one file for Temporal's sandbox. Building it takes more than a second of CPU, so that a worker keeps what
 * it has built beside the installed packages, under a digest of everything it is made of. An image has it built before:
 *
 *     node workflows/bundle.ts workflows/bundle.js      # then: temporal: { bundle: workflows/bundle.js }
 */
import { createHash, randomUUID } from "node:crypto";
import { access, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundleOption } from "@temporalio/worker";

const CACHE = new URL("../node_modules/.cache/heddle/", import.meta.url);

/** Builds the bundle. */
export async function buildBundle(): Promise<{ readonly code: string }> {
  const workflowsPath = fileURLToPath(new URL("workflows.ts", import.meta.url));
  return bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger("WARN") });
}

/** The bundle at `path`; if there is no path, the one that was built before from the same files, or a new one. */
export async function loadBundle(path: string): Promise<WorkflowBundleOption> {
  if (path !== "") return { codePath: path };
  const kept = new URL(`workflows-${await digestOfSources()}.js`, CACHE);
  try {
    await access(kept);
    return { codePath: fileURLToPath(kept) };
  } catch {
    const bundle = await buildBundle();
    // Where it can't be kept, it is built each time.
    await keep(kept, bundle.code).catch(() => {});
    return bundle;
  }
}

/** Of all that can be part of the bundle: the lint lets workflows import nothing else. */
async function digestOfSources(): Promise<string> {
  const own = (await readdir(new URL(".", import.meta.url))).filter((name) => name.endsWith(".ts")).sort();
  const files = ["../package-lock.json", "../mesh/saga/saga.ts", ...own];
  const hash = createHash("sha256");
  for (const file of files) hash.update(await readFile(new URL(file, import.meta.url))).update("\0");
  return hash.digest("hex").slice(0, 16);
}

/** In one step, as another worker may be reading. */
async function keep(target: URL, code: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const draft = new URL(`${randomUUID()}.draft`, CACHE);
  await writeFile(draft, code);
  await rename(draft, target);
}

if (import.meta.main) {
  const [target] = process.argv.slice(2);
  if (target === undefined) {
    process.stderr.write("usage: node workflows/bundle.ts FILE\n");
    process.exit(64);
  }
  await writeFile(target, (await buildBundle()).code);
}
