/**
 * Debian packages without root: unpacked into a private folder and started through the libc that comes with them, so
 * that a server of a newer release runs on an older host. Nothing is installed on the host.
 */
import { chmod, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { downloadDebian, type Downloaded } from "./apt.ts";
import { emptyFolder } from "./cache.ts";
import { run } from "./run.ts";
import type { InstallContext } from "./search.ts";

/** A program that Debian packages. */
export interface DebianProgram {
  /** Debian's release that has it, such as `sid`. */
  readonly suite: string;
  /** The package to install with all that it depends on, such as `redis-server`. */
  readonly seed: string;
  /** Path of the program below the root, such as `usr/bin/redis-server`. */
  readonly program: string;
  /** Dependencies that serve installation scripts only and are left out. */
  readonly unneeded: RegExp;
}

const UNNEEDED_FOLDERS = ["doc", "man", "locale", "lintian", "bash-completion"];

/** Installs a program into `context.folder` and returns the path of a script that starts it. */
export async function installDebian(program: DebianProgram, context: InstallContext): Promise<string> {
  const downloaded = await downloadDebian(program.suite, program.seed, program.unneeded, context);
  const root = join(context.folder, "root");
  await unpack(downloaded, root, context);
  // The other programs that come along are larger than all the rest.
  if (!program.program.startsWith("usr/bin/"))
    await rm(join(root, "usr/bin"), { recursive: true, force: true });
  const sums = downloaded.packages.map(({ sha256, file }) => `${sha256}  ${file}\n`);
  await writeFile(join(context.folder, "SHA256SUMS"), sums.join(""));
  return writeStarter(join(root, program.program), root, context.folder);
}

/** Unpacks packages into `root`, which exists only once it is whole. */
export async function unpack(
  { folder, packages }: Downloaded,
  root: string,
  context: InstallContext,
): Promise<void> {
  context.report(`unpacking ${packages.length} packages`);
  const draft = `${root}.draft`;
  await emptyFolder(draft);
  for (const { file } of packages) {
    await run("dpkg-deb", ["-x", join(folder, file), draft], { env: context.env, signal: context.signal });
  }
  for (const name of UNNEEDED_FOLDERS) {
    await rm(join(draft, "usr/share", name), { recursive: true, force: true });
  }
  await rm(root, { recursive: true, force: true });
  await rename(draft, root);
}

// The program needs the libc of its own release, not the host's. Its own path must be absolute: mysqld looks at argv[0].
async function writeStarter(program: string, root: string, folder: string): Promise<string> {
  const libraries = (await readdir(join(root, "usr/lib"))).find((name) => name.includes("-linux-gnu"));
  if (libraries === undefined) throw new Error("the packages hold no libraries for this machine");
  const library = join(root, "usr/lib", libraries);
  const loader = (await readdir(library)).find((name) => /^ld-linux.*\.so\.\d+$/.test(name));
  if (loader === undefined) throw new Error("the packages hold no dynamic loader");
  const starter = join(folder, basename(program));
  const args = [join(library, loader), "--argv0", program, "--library-path", library, program];
  await writeFile(starter, `#!/bin/sh\nexec ${args.map((arg) => `'${arg}'`).join(" ")} "$@"\n`);
  await chmod(starter, 0o755);
  return starter;
}
