/** Python packages for tests in a second language, installed once into the per-user cache. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder, emptyFolder } from "../../infra/tools/cache.ts";
import { withLock } from "../../infra/tools/lock.ts";
import { findPip } from "../../infra/tools/pip.ts";
import { run } from "../../infra/tools/run.ts";

/**
 * The variables with which `python3` finds the packages that a requirements file names; undefined on a machine without
 * Python. A folder that is there is whole: it gets its name last.
 */
export async function pythonWith(requirements: string): Promise<NodeJS.ProcessEnv | undefined> {
  const script = "import sys; print(sys.executable, sys.version)";
  const python = await run("python3", ["-c", script]).catch(() => undefined);
  if (python === undefined) return undefined;
  const pin = createHash("sha256")
    .update(python)
    .update(readFileSync(requirements))
    .digest("hex")
    .slice(0, 16);
  const cache = cacheFolder(process.env);
  const folder = join(cache, `python-${pin}`);
  await withLock(join(cache, "locks", "python.lock"), async () => {
    if (existsSync(folder)) return;
    const draft = `${folder}.draft`;
    await emptyFolder(draft);
    const pip = await findPip({
      folder: draft,
      cacheFolder: cache,
      env: process.env,
      report: () => undefined,
      signal: undefined,
    });
    const args = ["install", "--quiet", "--target", join(draft, "packages"), "-r", requirements];
    await run(pip.command, [...pip.args, ...args], { env: pip.env });
    await rename(draft, folder);
  });
  return { ...process.env, PYTHONPATH: join(folder, "packages") };
}
