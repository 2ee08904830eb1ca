/** The receiving end of a stream: messages as they come, taken one after the other. */
import type { ConnectError } from "@connectrpc/connect";

/** Messages that have come and not been taken. */
export interface Inbox {
  /** To be read once. Leaving early cancels the stream. */
  readonly messages: AsyncIterable<Uint8Array>;
  /** A message came. */
  push(bytes: Uint8Array): void;
  /** No more will come. */
  end(error: ConnectError | undefined): void;
}

/**
 * An empty inbox. `read` asks for one more message, each time that one is taken: a slow reader slows the server down.
 * `cancel` ends the stream.
 */
export function createInbox(read: () => void, cancel: () => void): Inbox {
  let waiting:
    { resolve(result: IteratorResult<Uint8Array>): void; reject(error: unknown): void } | undefined;
  const arrived: Uint8Array[] = [];
  let over: { readonly error?: ConnectError | undefined } | undefined;

  const iterator: AsyncIterator<Uint8Array> = {
    next() {
      const bytes = arrived.shift();
      if (bytes !== undefined) {
        read();
        return Promise.resolve({ done: false, value: bytes });
      }
      if (over?.error !== undefined) return Promise.reject(over.error);
      if (over !== undefined) return Promise.resolve({ done: true, value: undefined });
      return new Promise((resolve, reject) => (waiting = { resolve, reject }));
    },
    return() {
      if (over === undefined) cancel();
      return Promise.resolve({ done: true, value: undefined });
    },
  };

  return {
    messages: { [Symbol.asyncIterator]: () => iterator },
    push(bytes: Uint8Array): void {
      if (waiting === undefined) {
        arrived.push(bytes);
        return;
      }
      waiting.resolve({ done: false, value: bytes });
      waiting = undefined;
      read();
    },
    end(error: ConnectError | undefined): void {
      over = { error };
      if (error === undefined) waiting?.resolve({ done: true, value: undefined });
      else waiting?.reject(error);
      waiting = undefined;
    },
  };
}
