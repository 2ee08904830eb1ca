/** Once before the integration tests: the servers that they need, found or installed, so that no test waits for a download. */
import { ensureAll } from "../../infra/tools/ensure.ts";
import { createProgress } from "../../infra/tools/progress.ts";

/** Called by vitest. */
export async function setup(): Promise<void> {
  await ensureAll({ report: createProgress(process.stderr) });
}
