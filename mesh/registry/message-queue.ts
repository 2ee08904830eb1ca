/** Messages that are pushed from anywhere and read in order by one reader: the sending side of a stream. */

/** An unbounded queue. Whoever pushes answers for the bound, by pushing only in answer to something. */
export interface MessageQueue<T> extends AsyncIterable<T> {
  /** Appends a message; after the end it is dropped. */
  push(message: T): void;
  /** Ends the queue once what is in it was read; with an error, the reader gets that. Later calls do nothing. */
  end(error?: unknown): void;
}

/** Makes an empty queue. */
export function createMessageQueue<T>(): MessageQueue<T> {
  const messages: T[] = [];
  let over: { readonly error?: unknown } | undefined;
  let wake = Promise.withResolvers<void>();
  return {
    push(message) {
      if (over !== undefined) return;
      messages.push(message);
      wake.resolve();
    },
    end(error) {
      over ??= error === undefined ? {} : { error };
      wake.resolve();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const message = messages.shift();
        if (message !== undefined) {
          yield message;
          continue;
        }
        if (over !== undefined) {
          if ("error" in over) throw over.error;
          return;
        }
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    },
  };
}
