/** Keeps a slow reader from filling the memory. */
import type { EdgeResponse } from "./listener.ts";

/** Waits until the reader has caught up, or is gone. */
export function drained(response: EdgeResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}
