/**
 * One at a time, across processes: a lock is a file that names its holder. The lock of a process that has died is broken
 * by whoever waits for it, so a killed run never blocks the next one.
 */
import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rm, stat, unlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** The process that holds a lock. */
export interface Holder {
  readonly pid: number;
  /** When the process started, in the kernel's own unit; tells a reused pid from the holder. Absent off Linux. */
  readonly started?: string | undefined;
}

/** How to wait for a lock. */
export interface LockOptions {
  /** Called once if another living process holds the lock. */
  readonly waiting?: (holder: Holder) => void;
  readonly signal?: AbortSignal | undefined;
  /** How often to look again, in milliseconds. Default 200. */
  readonly pollMs?: number;
}

const BREAKER_STALE_MS = 10_000;

/** Runs `work` while holding the lock, and releases it whatever happens. */
export async function withLock<T>(
  path: string,
  work: () => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  let told = false;
  for (;;) {
    const holder = await tryLock(path);
    if (holder === undefined) break;
    if (!told) options.waiting?.(holder);
    told = true;
    await delay(
      options.pollMs ?? 200,
      undefined,
      options.signal === undefined ? {} : { signal: options.signal },
    );
  }
  try {
    return await work();
  } finally {
    await unlock(path);
  }
}

/** Takes the lock at once, or returns who holds it. */
export async function tryLock(path: string): Promise<Holder | undefined> {
  await mkdir(dirname(path), { recursive: true });
  for (;;) {
    if (await create(path)) return undefined;
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text === undefined) continue; // released meanwhile
    const holder = parseHolder(text);
    if (holder !== undefined && (await isAlive(holder))) return holder;
    await breakLock(path, text);
  }
}

/** Gives back a lock that this process holds. */
export async function unlock(path: string): Promise<void> {
  await rm(path, { force: true });
}

/** Whether the process that wrote itself into a lock still runs. */
export async function isAlive(holder: Holder): Promise<boolean> {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return holder.started === undefined || holder.started === (await startOf(holder.pid));
}

// A link appears with its content in one step, so nobody ever reads a lock that is half written.
async function create(path: string): Promise<boolean> {
  const draft = `${path}.${randomUUID()}`;
  const holder: Holder = { pid: process.pid, started: await startOf(process.pid) };
  await writeFile(draft, JSON.stringify(holder));
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

// Two waiters must not both break the same stale lock: the slower one would remove the lock that the faster one has
// just taken. So breaking has a lock of its own, and under it the stale text must still be there.
async function breakLock(path: string, staleText: string): Promise<void> {
  const breaker = `${path}.break`;
  if (!(await create(breaker))) {
    const info = await stat(breaker).catch(() => undefined);
    if (info !== undefined && Date.now() - info.mtimeMs > BREAKER_STALE_MS)
      await rm(breaker, { force: true });
    return delay(10);
  }
  try {
    if ((await readFile(path, "utf8").catch(() => undefined)) === staleText) await rm(path, { force: true });
  } finally {
    await rm(breaker, { force: true });
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const value = JSON.parse(text) as Partial<Holder>;
    return typeof value.pid === "number" ? { pid: value.pid, started: value.started } : undefined;
  } catch {
    return undefined;
  }
}

async function startOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // Field 22; the second field is the program's name in brackets and may hold blanks.
  return text?.slice(text.lastIndexOf(")") + 2).split(" ")[19];
}
