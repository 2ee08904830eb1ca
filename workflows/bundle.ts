/**
 * The workflows as one file for Temporal's sandbox. Built at the start of the worker, or before, for an image:
 *
 *     node workflows/bundle.ts workflows/bundle.js      # then: temporal: { bundle: workflows/bundle.js }
 */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundleOption } from "@temporalio/worker";

/** Builds the bundle in about a second. */
export async function buildBundle(): Promise<{ readonly code: string }> {
  const workflowsPath = fileURLToPath(new URL("workflows.ts", import.meta.url));
  return bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger("WARN") });
}

/** The bundle at `path`, or a new one if there is no path. */
export async function loadBundle(path: string): Promise<WorkflowBundleOption> {
  return path === "" ? buildBundle() : { codePath: path };
}

if (import.meta.main) {
  const [target] = process.argv.slice(2);
  if (target === undefined) {
    process.stderr.write("usage: node workflows/bundle.ts FILE\n");
    process.exit(64);
  }
  await writeFile(target, (await buildBundle()).code);
}
