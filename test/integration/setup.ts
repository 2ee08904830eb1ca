/** Once before the integration tests: the servers that they need, found or installed, so that no test waits for a download. */
import { createScreen } from "../../infra/local/screen.ts";
import { ensureAll } from "../../infra/tools/ensure.ts";

/** Called by vitest. */
export async function setup(): Promise<void> {
  const screen = createScreen(process.stderr);
  await ensureAll({ report: (tool, text) => screen.progress(tool, text) });
}
