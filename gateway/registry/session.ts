/**
 * Sessions of instances: each message is answered in order, problems are told in between. A session that breaks makes
 * its instance suspect at once, which is the quickest sign of a killed process there is.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  Instance,
  SessionRequest,
  SessionResponseSchema,
} from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { invalidArgument } from "../../mesh/errors.ts";
import { createMessageQueue, type MessageQueue } from "../../mesh/registry/message-queue.ts";
import { leaseFor } from "./lease.ts";
import type { Lifetime } from "./lifetime.ts";
import { staleIncarnation } from "./refusals.ts";
import type { Registry } from "./registry.ts";
import type { Outcome } from "./store.ts";

type Response = MessageInitShape<typeof SessionResponseSchema>;

/** The sessions of one gateway. */
export interface Sessions {
  /** Serves one session until it ends. */
  serve(requests: AsyncIterable<SessionRequest>, life: Lifetime): AsyncGenerator<Response>;
}

/** Serves sessions on a registry. */
export function createSessions(registry: Registry): Sessions {
  /** The latest session of each instance: when an older one ends late, that means nothing. */
  const latest = new Map<string, Session>();
  return {
    async *serve(requests, life) {
      const answers = createMessageQueue<Response>();
      const session = new Session(registry, answers);
      const end = () => answers.end(life.reason());
      life.signal.addEventListener("abort", end, { once: true });
      const receive = async (): Promise<void> => {
        for await (const request of requests) {
          await session.receive(request);
          if (session.left) break;
          latest.set(session.instanceId, session);
        }
      };
      receive().then(
        () => answers.end(),
        (error: unknown) => answers.end(error),
      );
      try {
        yield* answers;
      } finally {
        life.signal.removeEventListener("abort", end);
        session.close();
        if (latest.get(session.instanceId) === session) {
          latest.delete(session.instanceId);
          if (!session.left && !life.stopping()) await session.suspect();
        }
      }
    },
  };
}

/** One instance on one stream. */
class Session {
  /** Whether it said goodbye. */
  left = false;
  readonly #registry: Registry;
  readonly #answers: MessageQueue<Response>;
  #instance: Instance | undefined;
  #stopListening: (() => void) | undefined;

  constructor(registry: Registry, answers: MessageQueue<Response>) {
    this.#registry = registry;
    this.#answers = answers;
  }

  /** Empty before the first registration. */
  get instanceId(): string {
    return this.#instance?.instanceId ?? "";
  }

  async receive({ event }: SessionRequest): Promise<void> {
    if (event.case === "register") return this.#register(event.value);
    if (this.#instance === undefined) {
      throw invalidArgument({
        field: "register",
        description: "must be set in the first message of a session",
      });
    }
    const { instanceId, incarnation } = this.#instance;
    switch (event.case) {
      case "beat":
        return this.#answer(await this.#registry.write({ kind: "beat", instanceId, incarnation }));
      case "state":
        return this.#register({ ...this.#instance, state: event.value });
      case "leave":
        this.left = true;
        await this.#registry.write({ kind: "deregister", instanceId, incarnation });
        return;
      case undefined:
        throw invalidArgument({ field: "event", description: "must be set" });
    }
  }

  async suspect(): Promise<void> {
    if (this.#instance === undefined) return;
    const { instanceId, incarnation } = this.#instance;
    await this.#registry.write({ kind: "suspect", instanceId, incarnation });
  }

  close(): void {
    this.#stopListening?.();
  }

  async #register(instance: Instance): Promise<void> {
    if (this.#instance !== undefined && instance.instanceId !== this.#instance.instanceId) {
      const description = `must stay ${this.#instance.instanceId} for the whole session`;
      throw invalidArgument({ field: "register.instance_id", description });
    }
    const outcome = await this.#registry.write({ kind: "register", instance });
    this.#instance = instance;
    this.#answer(outcome);
    this.#stopListening ??= this.#registry.problems.listen(instance.instanceId, (reasons) => {
      this.#answers.push({ event: { case: "problems", value: { reasons: [...reasons] } } });
    });
  }

  #answer(outcome: Outcome): void {
    if (outcome === "stale") throw staleIncarnation(this.instanceId);
    if (outcome === "unknown" || this.#instance === undefined) {
      this.#answers.push({ event: { case: "reRegister", value: {} } });
      return;
    }
    const lease = leaseFor(this.#instance, this.#registry.leaseMs);
    this.#answers.push({ event: { case: "lease", value: lease } });
  }
}
