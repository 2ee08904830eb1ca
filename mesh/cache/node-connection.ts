/**
 * One node as a client reaches it: a session stream on its own HTTP/2 connection, opened when first needed, and again
 * after it was lost. What many callers ask in one turn travels as one message.
 */
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import type { Clock } from "../clock.ts";
import { createBatches, widenWindow, WINDOW_BYTES, type Batches } from "./batches.ts";
import { createDeframer } from "./framing.ts";
import { createAnswerTimes } from "./hedge.ts";
import { Unreachable, type Connection, type Receiver } from "./route.ts";
import { readResults, writeOperation, type Invalidation, type Result } from "./session-codec.ts";
import { WireReader } from "./wire.ts";

/** A node, with what is on the way to it. */
export interface NodeConnection extends Connection {
  readonly address: string;
  /** Operations that are not answered yet. */
  readonly inFlight: number;
  close(): void;
}

/** What a node says beside answers. */
export interface ConnectionEvents {
  invalidated(address: string, invalidation: Invalidation): void;
  /** The stream was lost: what the node would have said is not known. */
  lost(address: string): void;
}

interface Waiting {
  readonly receiver: Receiver;
  readonly sentAt: number;
  readonly dueAt: number;
  isLate: boolean;
}

interface Session {
  readonly http: ClientHttp2Session;
  readonly stream: ClientHttp2Stream;
  readonly batches: Batches;
}

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** Who waits is looked at in steps, so that no operation needs a timer of its own. */
const SWEEP_MS = 2;
/** Deadlines are looked at in every so many of these steps. */
const STEPS_PER_DEADLINE = 5;
/** The time of one answer in so many is noted. */
const SAMPLE = 16;
/** A node that could not be reached is not tried again for this long. */
const BACKOFF_MS = 200;
/** Where nothing comes, a node that is alive answers a ping within this. */
const PROBE_MS = 1000;
/** A node that reads so slowly is as good as gone. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024;

/** Makes a connection to a node; nothing is dialled yet. */
export function createNodeConnection(
  address: string,
  clock: Clock,
  events: ConnectionEvents,
): NodeConnection {
  /** In the order in which they were sent. */
  const waiting = new Map<number, Waiting>();
  const times = createAnswerTimes();
  let steps = 0;
  let session: Session | undefined;
  let nextId = 1;
  let retryAt = 0;
  let isSweeping = false;
  let probed: Session | undefined;
  let isClosed = false;
  const down = new Unreachable(`cache node ${address} is down`, { maybeExecuted: false });
  const notReading = new Unreachable(`cache node ${address} does not read`, {
    maybeExecuted: false,
    isSilent: true,
  });
  const silent = new Unreachable(`cache node ${address} did not answer in time`, {
    maybeExecuted: true,
    isSilent: true,
  });

  function open(): Session {
    const http = connect(`http://${address}`, {
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    });
    http.once("connect", () => widenWindow(http));
    const stream = http.request({
      ":method": "POST",
      ":path": "/heddle.cache.v1.CacheService/Session",
      "content-type": "application/grpc+proto",
      te: "trailers",
    });
    const opened: Session = { http, stream, batches: createBatches(stream) };
    const lose = (problem: string) => session === opened && lost(problem);
    const take = createDeframer(MAX_MESSAGE_BYTES, (message) =>
      readResults(new WireReader(message), onResult, (invalidation) =>
        events.invalidated(address, invalidation),
      ),
    );
    stream.on("data", (chunk: Buffer) => {
      try {
        take(chunk);
      } catch (error) {
        lose(`it sent what is no answer: ${String(error)}`);
      }
    });
    stream.on("error", (error) => lose(error.message));
    stream.on("close", () => lose("the stream was closed"));
    http.on("error", (error) => lose(error.message));
    http.on("goaway", () => lose("it is going away"));
    http.on("close", () => lose("the connection was closed"));
    // An idle cache does not keep a process alive.
    http.unref();
    return opened;
  }

  function lost(problem: string): void {
    const { http } = session as Session;
    session = undefined;
    retryAt = clock.monotonic() + BACKOFF_MS;
    http.destroy();
    events.lost(address);
    const all = [...waiting.values()];
    waiting.clear();
    const error = new Unreachable(`cache node ${address}: ${problem}`, { maybeExecuted: true });
    for (const { receiver } of all) receiver.unreachable(error);
  }

  function onResult(result: Result): void {
    const waiter = waiting.get(result.id);
    waiting.delete(result.id);
    if (waiting.size === 0) session?.http.unref();
    if (waiter === undefined) return;
    if (result.id % SAMPLE === 0) times.add(clock.monotonic() - waiter.sentAt);
    waiter.receiver.answered(result);
  }

  /** Timers run before sockets are read: in a process that was held up the answer may be there already. */
  function sweepAfterReading(): void {
    const now = clock.monotonic();
    setImmediate(() => sweep(now));
  }

  function sweep(now: number): void {
    tellLate(now);
    if (steps++ % STEPS_PER_DEADLINE === 0) endOverdue(now);
    isSweeping = waiting.size > 0;
    if (!isSweeping) session?.http.unref();
    if (isSweeping) clock.after(SWEEP_MS, sweepAfterReading);
  }

  function tellLate(now: number): void {
    for (const waiter of waiting.values()) {
      if (now - waiter.sentAt < times.slowMs) return;
      if (waiter.isLate) continue;
      waiter.isLate = true;
      waiter.receiver.late?.();
    }
  }

  /** A connection can be dead without anybody having said so: a network that is cut says nothing. */
  function probe(opened: Session): void {
    if (probed === opened) return;
    probed = opened;
    const giveUp = () => session === opened && probed === opened && lost("it does not answer");
    const cancel = clock.after(PROBE_MS, () => setImmediate(giveUp));
    opened.http.ping(() => {
      cancel();
      if (probed === opened) probed = undefined;
    });
  }

  function endOverdue(now: number): void {
    for (const [id, { dueAt, receiver }] of waiting) {
      if (dueAt > now) continue;
      waiting.delete(id);
      if (session !== undefined) probe(session);
      receiver.unreachable(silent);
    }
  }

  return {
    address,
    get inFlight() {
      return waiting.size;
    },
    send(op, timeoutMs, receiver) {
      const now = clock.monotonic();
      if (isClosed || now < retryAt) return receiver.unreachable(down);
      session ??= open();
      const { batches, http } = session;
      if (batches.waitingBytes > MAX_WAITING_BYTES) return receiver.unreachable(notReading);
      const id = nextId;
      nextId = nextId === 0xffff_ffff ? 1 : nextId + 1;
      op.id = id;
      if (waiting.size === 0) http.ref();
      waiting.set(id, { receiver, sentAt: now, dueAt: now + timeoutMs, isLate: false });
      batches.add((writer) => writeOperation(writer, op));
      if (isSweeping) return;
      isSweeping = true;
      clock.after(SWEEP_MS, sweepAfterReading);
    },
    close() {
      isClosed = true;
      if (session !== undefined) lost("the client was closed");
    },
  };
}
