import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { tryLock, unlock, withLock } from "./lock.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "heddle-lock-"));
  path = join(folder, "locks/x.lock");
});
afterEach(() => rm(folder, { recursive: true }));

async function deadPid(): Promise<number> {
  const child = spawn("true");
  await once(child, "exit");
  return child.pid!;
}

describe("withLock", () => {
  test("lets one in at a time, and all of them in the end", async () => {
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await new Promise(setImmediate);
      inside--;
    };
    await Promise.all(Array.from({ length: 8 }, () => withLock(path, work, { pollMs: 1 })));
    expect(most).toBe(1);
  });

  test("releases the lock when the work fails, and leaves no file behind", async () => {
    await expect(withLock(path, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await readdir(join(folder, "locks"))).toEqual([]);
  });

  test("tells once who holds the lock, and gives up when aborted", async () => {
    await tryLock(path);
    const pids: number[] = [];
    const abort = new AbortController();
    const waiting = withLock(path, () => Promise.resolve(), {
      pollMs: 1,
      signal: abort.signal,
      waiting: (holder) => {
        pids.push(holder.pid);
        abort.abort();
      },
    });
    await expect(waiting).rejects.toThrow("abort");
    expect(pids).toEqual([process.pid]);
  });
});

describe("tryLock", () => {
  test("breaks the lock of a process that has died", async () => {
    await tryLock(path);
    await writeFile(path, JSON.stringify({ pid: await deadPid() }));
    expect(await tryLock(path)).toBeUndefined();
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid });
  });

  test.runIf(process.platform === "linux")(
    "breaks the lock of a process whose pid was given to another",
    async () => {
      await tryLock(path);
      await writeFile(path, JSON.stringify({ pid: process.pid, started: "1" }));
      expect(await tryLock(path)).toBeUndefined();
    },
  );

  test("breaks a lock file that holds no lock", async () => {
    await tryLock(path);
    await writeFile(path, "");
    expect(await tryLock(path)).toBeUndefined();
  });

  test("of many that see the same stale lock, exactly one gets it", async () => {
    await tryLock(path);
    await writeFile(path, JSON.stringify({ pid: await deadPid() }));
    const holders = await Promise.all(Array.from({ length: 20 }, () => tryLock(path)));
    expect(holders.filter((holder) => holder === undefined)).toHaveLength(1);
    await unlock(path);
    expect(await tryLock(path)).toBeUndefined();
  });
});
