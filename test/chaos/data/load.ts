/**
 * Clients of a database that write, read back what they wrote, and read anything, without a pause, and that remember what
 * they were told: afterwards the data must agree with it.
 */
import { randomUUID } from "node:crypto";
import type { Database } from "../../../mesh/sql/database.ts";
import { currentTokens, inSession, Tokens } from "../../../mesh/sql/consistency.ts";
import { sleep } from "../../../mesh/clock.ts";

/** What the clients saw. Times in milliseconds. */
export interface Figures {
  /** Writes that were acknowledged, by their ids. */
  readonly acknowledged: string[];
  readonly writeMs: Latency;
  /** Wait for the token and the read after it. */
  readonly tokenReadMs: Latency;
  readonly plainReadMs: Latency;
  /** Reads with a token that did not show what was written. */
  stale: number;
  /** Errors that callers saw, with how often. */
  readonly errors: Map<string, number>;
}

/** How many clients of each kind. */
export interface LoadOptions {
  readonly writers: number;
  /** Each writes by one instance and reads by another one, which knows nothing but the token. */
  readonly tokenReaders: number;
  readonly plainReaders: number;
}

/** Clients that run. */
export interface Load {
  readonly figures: Figures;
  /** Resolves with how long it took from now until a member other than `former` has committed a write. */
  firstWriteElsewhere(former: string | undefined): Promise<number>;
  /**
   * Clients pause for so long after each operation; 2 ms at first. A member that comes back has to catch up with what it
   * missed, which on a slow disk it cannot while the others write as fast as they can.
   */
  pace(pauseMs: number): void;
  /** Lets them finish what they are doing. */
  stop(): Promise<void>;
}

/** Latencies of one kind of operation; the slowest of each period between `reset`s. */
export class Latency {
  readonly #all: number[] = [];
  #max = 0;

  add(ms: number): void {
    this.#all.push(ms);
    this.#max = Math.max(this.#max, ms);
  }

  get count(): number {
    return this.#all.length;
  }

  /** The slowest since the last reset. */
  get maxMs(): number {
    return this.#max;
  }

  reset(): void {
    this.#max = 0;
  }

  quantileMs(quantile: number): number {
    return this.#all.toSorted((a, b) => a - b)[Math.floor(quantile * this.#all.length)] ?? 0;
  }
}

/** `migrations` of what the clients use. */
export const LOAD_TABLES = `
  CREATE TABLE writes (row_id BIGINT AUTO_INCREMENT PRIMARY KEY, id CHAR(36) NOT NULL, KEY (id));
  CREATE TABLE counters (client INT PRIMARY KEY, n BIGINT NOT NULL);
`;

/** Starts the clients. `instances` are databases as several instances of a service have them. */
export function startLoad(instances: readonly Database[], options: LoadOptions): Load {
  const figures: Figures = {
    acknowledged: [],
    writeMs: new Latency(),
    tokenReadMs: new Latency(),
    plainReadMs: new Latency(),
    stale: 0,
    errors: new Map(),
  };
  const load: Running = { isOver: false, figures, instances, pauseMs: 2, onWrite: new Set() };
  const clients = [
    ...clientsOf(options.writers, (i) => writeOnce(load, i)),
    ...clientsOf(options.tokenReaders, (i) => readBackOnce(load, i)),
    ...clientsOf(options.plainReaders, (i) => readOnce(load, i)),
  ].map(async (operate) => {
    while (!load.isOver) {
      await operate();
      await sleep(load.pauseMs);
    }
  });
  return {
    figures,
    firstWriteElsewhere: (former) => firstWriteElsewhere(load, former),
    pace: (pauseMs) => void (load.pauseMs = pauseMs),
    async stop() {
      load.isOver = true;
      await Promise.all(clients);
    },
  };
}

interface Running {
  isOver: boolean;
  readonly figures: Figures;
  readonly instances: readonly Database[];
  pauseMs: number;
  readonly onWrite: Set<() => void>;
}

function clientsOf(count: number, operate: (client: number) => Promise<void>) {
  return Array.from({ length: count }, (_, client) => () => operate(client));
}

function instanceOf({ instances }: Running, client: number): Database {
  return instances[client % instances.length]!;
}

/** A write with a key: whatever happens, it must be acknowledged, and must have happened once. */
async function writeOnce(load: Running, client: number): Promise<void> {
  const id = randomUUID();
  await measured(load, "write", load.figures.writeMs, async () => {
    await instanceOf(load, client).write((tx) => tx.execute("INSERT INTO writes (id) VALUES (?)", [id]), {
      key: id,
    });
    load.figures.acknowledged.push(id);
    for (const notify of load.onWrite) notify();
  });
}

const counted = new Map<number, number>();

/** Writes the next number by one instance, and looks for it by another one that is given the token. */
async function readBackOnce(load: Running, client: number): Promise<void> {
  const n = (counted.get(client) ?? 0) + 1;
  counted.set(client, n);
  let token: string | undefined;
  await measured(load, "counter", undefined, () =>
    inSession(async () => {
      const sql = "INSERT INTO counters VALUES (?, ?) ON DUPLICATE KEY UPDATE n = VALUES(n)";
      await instanceOf(load, client).write((tx) => tx.execute(sql, [client, n]), { canRerun: true });
      token = currentTokens()!.header();
    }),
  );
  if (token === undefined) return;
  const received = new Tokens();
  received.read(token);
  await measured(load, "token read", load.figures.tokenReadMs, async () => {
    const rows = await inSession(
      () =>
        instanceOf(load, client + 1).read(
          (q) => q.query<{ n: number }>("SELECT n FROM counters WHERE client = ?", [client]),
          { consistency: "session" },
        ),
      received,
    );
    if ((rows[0]?.n ?? 0) < n) load.figures.stale++;
  });
}

async function readOnce(load: Running, client: number): Promise<void> {
  await measured(load, "plain read", load.figures.plainReadMs, () =>
    instanceOf(load, client).read((q) => q.query("SELECT n FROM counters WHERE client = ?", [client]), {
      consistency: "eventual",
    }),
  );
}

async function measured(
  { figures }: Running,
  what: string,
  latency: Latency | undefined,
  operate: () => Promise<unknown>,
): Promise<void> {
  const begin = performance.now();
  try {
    await operate();
  } catch (error) {
    const text = `${what}: ${(error as Error).message}`.slice(0, 200);
    figures.errors.set(text, (figures.errors.get(text) ?? 0) + 1);
    await sleep(50);
  }
  latency?.add(performance.now() - begin);
}

function firstWriteElsewhere({ onWrite, instances }: Running, former: string | undefined): Promise<number> {
  const begin = performance.now();
  return new Promise((resolve) => {
    const notify = () => {
      const { writer } = instances[0]!.topology();
      if (writer === undefined || writer === former) return;
      onWrite.delete(notify);
      resolve(performance.now() - begin);
    };
    onWrite.add(notify);
  });
}
