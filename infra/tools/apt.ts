/**
 * The host's own apt, without root: reads the lists of one Debian release into the per-user cache and fetches packages
 * there. Nothing of the host's package state is read or changed.
 *
 * Trust: apt checks the signature of the package lists with Debian's archive keys; each package must have the SHA-256
 * that those lists give. Packages already there are kept, so a download that was cut off goes on where it stopped.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { withLock } from "./lock.ts";
import { run } from "./run.ts";
import type { InstallContext } from "./search.ts";

/** A package as apt's lists describe it. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  /** Name of its file. */
  readonly file: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** Packages that lie in a folder, checked. */
export interface Downloaded {
  readonly folder: string;
  readonly packages: readonly DebianPackage[];
}

const KEYRINGS = ["gpg", "pgp"].map((ending) => `/usr/share/keyrings/debian-archive-keyring.${ending}`);
const LISTS_FRESH_MS = 10 * 60_000;

/** Fetches a package of a release with all that it depends on, but for what `unneeded` matches by name. */
export async function downloadDebian(
  suite: string,
  seed: string,
  unneeded: RegExp,
  context: InstallContext,
): Promise<Downloaded> {
  const apt = await prepareApt(suite, context);
  context.report("reading Debian's package lists");
  const packages = await closure(seed, unneeded, apt, context);
  const folder = join(apt.folder, "archives");
  await download(packages, folder, apt, context);
  return { folder, packages };
}

/** Which of the host's apt sources is Debian itself: lines of `uri|release|origin`, as `apt-get indextargets` gives them. */
export function debianSource(lines: string): string | undefined {
  const sources = lines.split("\n").map((line) => line.split("|"));
  // The origin is known only once lists were fetched. Releases with a dash are updates, backports and the like.
  const whole = sources.filter(([, release]) => release !== undefined && /^\w+$/.test(release));
  const named = whole.find(([, , origin]) => origin === "Debian");
  return (named ?? whole.find(([uri]) => /\/debian\/?$/.test(uri ?? "")))?.[0];
}

/** The packages of a dry run of `apt-get install`, as `name=version`. */
export function packagesToInstall(simulation: string): string[] {
  return [...simulation.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+) /gm)].map(
    ([, name, version]) => `${name}=${version}`,
  );
}

/** The stanzas of `apt-cache show`. */
export function parsePackages(text: string): DebianPackage[] {
  return text
    .split(/\n\n+/)
    .filter((stanza) => stanza.trim() !== "")
    .map((stanza) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(stanza)?.[1] ?? "";
      const [name, version] = [field("Package"), field("Version")];
      // apt writes the colon of an epoch as %3a into the file's name.
      const file = `${name}_${version.replaceAll(":", "%3a")}_${field("Architecture")}.deb`;
      return { name, version, file, sizeBytes: Number(field("Size")), sha256: field("SHA256") };
    });
}

interface Apt {
  readonly folder: string;
  readonly env: InstallContext["env"];
}

// All tools share the lists and the downloaded packages, so one of them waits for the other here.
async function prepareApt(suite: string, context: InstallContext): Promise<Apt> {
  const folder = join(context.cacheFolder, "apt");
  const targets = ["--format", "$(REPO_URI)|$(RELEASE)|$(ORIGIN)", "Created-By: Packages"];
  const source = debianSource(await run("apt-get", ["indextargets", ...targets], { env: context.env }));
  if (source === undefined) throw new Error("apt has no Debian source here");
  const config = join(folder, "apt.conf");
  const apt = { folder, env: { ...context.env, APT_CONFIG: config, LC_ALL: "C" } };
  const fresh = join(folder, `${suite}.fresh`);
  await withLock(
    join(context.cacheFolder, "locks", "apt.lock"),
    async () => {
      const age = await stat(fresh).then(
        ({ mtimeMs }) => Date.now() - mtimeMs,
        () => Infinity,
      );
      if (age < LISTS_FRESH_MS) return;
      for (const part of ["lists/partial", "archives/partial"])
        await mkdir(join(folder, part), { recursive: true });
      await writeFile(join(folder, "sources.list"), await sourceLine(source, suite));
      await writeFile(join(folder, "status"), "");
      await writeFile(config, aptConfig(folder));
      context.report("fetching Debian's package lists");
      await run("apt-get", ["-qq", "update"], { env: apt.env, signal: context.signal, timeoutMs: 180_000 });
      await writeFile(fresh, "");
    },
    { signal: context.signal },
  );
  return apt;
}

async function sourceLine(source: string, suite: string): Promise<string> {
  for (const keyring of KEYRINGS) {
    const found = await access(keyring).then(
      () => true,
      () => false,
    );
    if (found) return `deb [signed-by=${keyring}] ${source} ${suite} main\n`;
  }
  return `deb ${source} ${suite} main\n`; // the keys that apt itself trusts
}

// The empty status file makes apt list every dependency, libc included, whatever the host has.
function aptConfig(folder: string): string {
  return `Dir::Etc::SourceList "${folder}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "${folder}/lists";
Dir::State::status "${folder}/status";
Dir::Cache "${folder}";
Dir::Log "${folder}";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
APT::Sandbox::User "";
APT::Install-Recommends "0";
Debug::NoLocking "1";
`;
}

async function closure(
  seed: string,
  unneeded: RegExp,
  apt: Apt,
  context: InstallContext,
): Promise<DebianPackage[]> {
  const options = { env: apt.env, signal: context.signal };
  const simulation = await run("apt-get", ["-s", "-y", "install", seed], options);
  const wanted = packagesToInstall(simulation).filter((name) => !unneeded.test(name.replace(/=.*/, "")));
  return parsePackages(await run("apt-cache", ["show", "--no-all-versions", ...wanted], options));
}

async function download(
  packages: readonly DebianPackage[],
  archives: string,
  apt: Apt,
  context: InstallContext,
) {
  const missing = await damaged(packages, archives);
  if (missing.length === 0) return;
  for (const { file } of missing) await rm(join(archives, file), { force: true });
  const totalBytes = sum(missing.map(({ sizeBytes }) => sizeBytes));
  const tell = async () => {
    const sizes = missing.map(({ file }) =>
      stat(join(archives, file)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
    const bytes = sum(await Promise.all(sizes));
    context.report(`downloading, ${megabytes(bytes)} of ${megabytes(totalBytes)} MB`);
  };
  await tell();
  const timer = setInterval(() => void tell(), 1000);
  try {
    const names = missing.map(({ name, version }) => `${name}=${version}`);
    await run("apt-get", ["-qq", "download", ...names], {
      cwd: archives,
      env: apt.env,
      signal: context.signal,
    });
  } finally {
    clearInterval(timer);
  }
  const wrong = await damaged(missing, archives);
  if (wrong.length > 0)
    throw new Error(`wrong SHA-256 after download: ${wrong.map(({ file }) => file).join(", ")}`);
}

async function damaged(packages: readonly DebianPackage[], archives: string): Promise<DebianPackage[]> {
  const wrong: DebianPackage[] = [];
  for (const one of packages) {
    if ((await sha256(join(archives, one.file))) !== one.sha256) wrong.push(one);
  }
  return wrong;
}

async function sha256(path: string): Promise<string | undefined> {
  try {
    const hash = createHash("sha256");
    await pipeline(createReadStream(path), hash);
    return hash.digest("hex");
  } catch {
    return undefined;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
