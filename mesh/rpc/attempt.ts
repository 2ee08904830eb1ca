/** Runs one call, once, on one connection. Unary answers take no detour through async iterables. */
import { Code, ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../errors.ts";
import type { Call, Reply } from "./call.ts";
import type { Connection, Stream, StreamError, StreamHead } from "./connection.ts";
import { createInbox } from "./inbox.ts";
import type { Metadata } from "./metadata.ts";

const unsentErrors = new WeakSet<ConnectError>();

/** Whether the call that failed with this error has certainly not begun on any server: any method may be sent again. */
export function isUnsent(error: ConnectError): boolean {
  return unsentErrors.has(error);
}

/** Marks an error as one of a call that never left this process. */
export function unsent(error: ConnectError): ConnectError {
  unsentErrors.add(error);
  return error;
}

/** Told once when an attempt is over; without an error for OK. */
export type AttemptEnd = (error?: ConnectError) => void;

/** Sends a call to an endpoint. Rejects, or ends the messages of a stream, with what went wrong as a ConnectError. */
export function attempt(connection: Connection, call: Call, ended: AttemptEnd): Promise<Reply> {
  if (call.signal.aborted) return Promise.reject(finish(cancelledBy(call.signal), ended));
  const one = call.method.kind === "unary" || call.method.kind === "client_streaming";
  try {
    return one ? attemptOne(connection, call, ended) : attemptMany(connection, call, ended);
  } catch (error) {
    return Promise.reject(finish(ConnectError.from(error, Code.Internal), ended));
  }
}

function attemptOne(connection: Connection, call: Call, ended: AttemptEnd): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  let metadata: Metadata | undefined;
  let message: Uint8Array | undefined;
  const stream = connection.open(headOf(call), {
    header: (received) => (metadata = received),
    message(bytes) {
      message = bytes;
      stream.read(); // Asks for the end.
    },
    end(trailer, failure) {
      const error = sending.stop(failure) ?? missing(message);
      ended(error);
      if (error !== undefined) return reject(error);
      resolve({ metadata: metadata ?? new Headers(), message: message!, trailers: () => trailer });
    },
  });
  const sending = sendRequest(stream, call);
  stream.read();
  return promise;
}

function attemptMany(connection: Connection, call: Call, ended: AttemptEnd): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  let trailer: Metadata | undefined;
  let answered = false;
  const answer = (metadata: Metadata): void => {
    answered = true;
    resolve({ metadata, messages: inbox.messages, trailers: () => trailer ?? new Headers() });
  };
  const inbox = createInbox(
    () => stream.read(),
    () => stream.cancel(),
  );
  const stream = connection.open(headOf(call), {
    header: answer,
    message: (bytes) => inbox.push(bytes),
    end(received, failure) {
      trailer = received;
      const error = sending.stop(failure);
      ended(error);
      if (!answered && error !== undefined) return reject(error);
      if (!answered) answer(received);
      inbox.end(error);
    },
  });
  const sending = sendRequest(stream, call);
  stream.read();
  return promise;
}

function headOf({ method, metadata, deadline }: Call): StreamHead {
  return { path: method.path, metadata, deadline };
}

/** The sending half of an attempt. */
interface Sending {
  /** The stream has ended. Returns why the call failed, which is a reason of the caller's own where there is one. */
  stop(failure: StreamError | undefined): ConnectError | undefined;
}

function sendRequest(stream: Stream, { request, signal }: Call): Sending {
  const progress: Progress = { stopped: false, resume: undefined };
  let ownError: ConnectError | undefined;
  const cancel = (): void => {
    ownError ??= cancelledBy(signal);
    stream.cancel();
  };
  signal.addEventListener("abort", cancel, { once: true });
  if (request instanceof Uint8Array) {
    stream.send(request);
    stream.halfClose();
  } else {
    sendEach(stream, request, progress).catch((error: unknown) => {
      ownError ??= ConnectError.from(error, Code.Canceled);
      stream.cancel();
    });
  }
  return {
    stop(failure) {
      signal.removeEventListener("abort", cancel);
      progress.stopped = true;
      progress.resume?.();
      if (failure === undefined) return undefined;
      return ownError ?? (failure.unsent ? unsent(failure.error) : failure.error);
    },
  };
}

/** How far a request of several messages has come. A stream that has ended calls nobody back, hence `resume`. */
interface Progress {
  stopped: boolean;
  resume: (() => void) | undefined;
}

async function sendEach(
  stream: Stream,
  request: AsyncIterable<Uint8Array>,
  progress: Progress,
): Promise<void> {
  for await (const bytes of request) {
    if (progress.stopped) return;
    await new Promise<void>((resolve) => {
      progress.resume = resolve;
      stream.send(bytes, resolve);
    });
  }
  stream.halfClose();
}

function finish(error: ConnectError, ended: AttemptEnd): ConnectError {
  ended(error);
  return error;
}

function missing(message: Uint8Array | undefined): ConnectError | undefined {
  if (message !== undefined) return undefined;
  return rpcError(Code.Internal, Reason.INTERNAL, "the server answered OK without the message it owes");
}

/** The error of a call that its caller gave up. */
export function cancelledBy(signal: AbortSignal): ConnectError {
  if (signal.reason instanceof ConnectError) return signal.reason;
  return new ConnectError("the caller no longer wants the call", Code.Canceled);
}
