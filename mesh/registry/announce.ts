/**
 * Keeps an instance in the registry: registers it with every gateway, beats, registers it anew when a gateway asks or
 * comes back, and takes it out in the end. Telling several gateways that share a store is harmless, and telling each is
 * what gateways without one need.
 */
import type { Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { InstanceState } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { sleep, systemClock, type Clock, type Random } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { silentLog, type Logger } from "../observe/log.ts";
import { AnnounceSession } from "./announce-session.ts";
import { reconnectDelayMs } from "./backoff.ts";
import { dialRegistry, type DialRegistry } from "./dial.ts";

/** How long `drain` waits for gateways to acknowledge, and `close` for them to let go. */
export const FAREWELL_MS = 1000;

/** What is announced, and where. */
export interface AnnounceOptions {
  /** Control addresses of the gateways, `host:port`. */
  readonly endpoints: readonly string[];
  /** The instance, whole, with an id of its own. */
  readonly instance: Instance;
  readonly log?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  /** How to reach a gateway. Default: a channel of the mesh. */
  readonly dial?: DialRegistry;
}

/** An instance that is being announced. */
export interface Announcement {
  /** Resolves once the first gateway has registered it. Never rejects: gateways are tried for ever. */
  readonly ready: Promise<void>;
  /** Says that the instance takes no new calls, and waits up to a second until every connected gateway knows. */
  drain(): Promise<void>;
  /** Takes the instance out, waiting up to a second, and stops. */
  close(): Promise<void>;
}

/**
 * Begins to announce.
 *
 * @throws TypeError without endpoints.
 */
export function announce(options: AnnounceOptions): Announcement {
  const {
    endpoints,
    log = silentLog,
    clock = systemClock,
    random = Math.random,
    dial = dialRegistry,
  } = options;
  if (endpoints.length === 0) throw new TypeError("an announcement needs at least one endpoint");
  const leaving = new AbortController();
  const ready = Promise.withResolvers<void>();
  const sessions = new Set<AnnounceSession>();
  let instance = options.instance;

  const keepAnnouncing = async (endpoint: string): Promise<void> => {
    let failures = 0;
    const registered = () => {
      if (failures > 0) log.info({ endpoint }, "registered with this gateway again");
      failures = 0;
      ready.resolve();
    };
    while (!leaving.signal.aborted) {
      const session = new AnnounceSession({
        instance: () => instance,
        registered,
        endpoint,
        log,
        clock,
        random,
      });
      sessions.add(session);
      const connection = dial(endpoint);
      const problem = await session.run(connection.client);
      sessions.delete(session);
      await connection.close();
      if (leaving.signal.aborted) return;
      failures += 1;
      if (failures === 1)
        log.warn(
          { endpoint, problem: messageOf(problem) },
          "this gateway's registry does not answer; trying again",
        );
      await sleep(reconnectDelayMs(failures, random), leaving.signal, clock).catch(() => undefined);
    }
  };
  const running = Promise.all(endpoints.map(keepAnnouncing));

  const atMost = async (work: Promise<unknown>): Promise<void> => {
    const waiting = new AbortController();
    await Promise.race([work, sleep(FAREWELL_MS, waiting.signal, clock)]);
    waiting.abort();
  };

  return {
    ready: ready.promise,
    async drain() {
      instance = { ...instance, state: InstanceState.DRAINING };
      await atMost(Promise.all([...sessions].map((session) => session.tell(InstanceState.DRAINING))));
    },
    async close() {
      leaving.abort();
      await atMost(Promise.all([...sessions].map((session) => session.leave())));
      for (const session of sessions) session.abort();
      await running;
    },
  };
}
