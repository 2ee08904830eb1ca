/** One session of an instance with the registry of one gateway, from its registration until the stream ends. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type {
  Instance,
  InstanceState,
  Lease,
  RegistryService,
  SessionRequestSchema,
  SessionResponse,
} from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import type { Clock, Random } from "../clock.ts";
import type { Logger } from "../observe/log.ts";
import { jittered } from "./backoff.ts";
import { createMessageQueue } from "./message-queue.ts";

/** How often to beat, and how long to wait for an answer, until the registry says. */
const BEAT_MS = 5000;

/** What a session shares with its announcement. */
export interface SessionOptions {
  /** The instance as it is now. */
  readonly instance: () => Instance;
  /** The gateway has registered it. */
  readonly registered: () => void;
  /** For the log. */
  readonly endpoint: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

type Request = MessageInitShape<typeof SessionRequestSchema>;

/** A session. Each of its messages is answered in order, so answers are matched by counting. */
export class AnnounceSession {
  readonly #options: SessionOptions;
  readonly #requests = createMessageQueue<Request>();
  readonly #ending = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  /** What to do when the next answer comes, and the ones after it. */
  readonly #unanswered: (() => void)[] = [];
  #beatMs = BEAT_MS;
  #cancelBeat: (() => void) | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Registers and beats until the stream ends. Resolves with why it ended. */
  async run(client: Client<typeof RegistryService>): Promise<unknown> {
    this.#register();
    this.#beatLater();
    try {
      for await (const response of client.session(this.#requests, { signal: this.#ending.signal })) {
        this.#receive(response);
      }
      return new Error("the gateway ended the session");
    } catch (error) {
      return this.#ending.signal.reason ?? error;
    } finally {
      this.#cancelBeat?.();
      this.#requests.end();
      this.#ended.resolve();
    }
  }

  /** Tells a new state. Resolves when the registry has taken it, or the session has ended. */
  tell(state: InstanceState): Promise<void> {
    const told = Promise.withResolvers<void>();
    this.#send({ event: { case: "state", value: state } }, told.resolve);
    return Promise.race([told.promise, this.#ended.promise]);
  }

  /** Takes the instance out. Resolves when the session has ended. */
  leave(): Promise<void> {
    this.#cancelBeat?.();
    this.#requests.push({ event: { case: "leave", value: {} } });
    this.#requests.end();
    return this.#ended.promise;
  }

  /** Breaks off. */
  abort(reason = new Error("the announcement was closed")): void {
    this.#ending.abort(reason);
  }

  #register(): void {
    this.#send({ event: { case: "register", value: this.#options.instance() } }, this.#options.registered);
  }

  #send(request: Request, answered: () => void): void {
    this.#unanswered.push(answered);
    this.#requests.push(request);
  }

  #beatLater(): void {
    const { clock, random } = this.#options;
    this.#cancelBeat = clock.after(jittered(this.#beatMs, random), () => {
      if (this.#unanswered.length > 0) return this.abort(new Error(`no answer for ${this.#beatMs} ms`));
      this.#send({ event: { case: "beat", value: {} } }, () => undefined);
      this.#beatLater();
    });
  }

  #receive({ event }: SessionResponse): void {
    const { log, endpoint } = this.#options;
    switch (event.case) {
      case "lease":
        this.#adopt(event.value);
        this.#unanswered.shift()?.();
        return;
      case "reRegister":
        this.#unanswered.shift();
        log.info({ endpoint }, "the registry has lost this instance; registering again");
        this.#register();
        return;
      case "problems":
        if (event.value.reasons.length > 0) {
          log.warn({ endpoint, reasons: event.value.reasons }, "the gateway refuses routes of this instance");
        } else log.info({ endpoint }, "the gateway takes all routes of this instance");
        return;
      case undefined:
        return;
    }
  }

  /** Takes over the registry's beat interval; the first beat comes at the right time already. */
  #adopt({ beatInterval }: Lease): void {
    const beatMs = beatInterval === undefined ? BEAT_MS : durationMs(beatInterval);
    if (beatMs === this.#beatMs || beatMs <= 0) return;
    this.#beatMs = beatMs;
    this.#cancelBeat?.();
    this.#beatLater();
  }
}
