import { expect, test } from "vitest";
import { createMessageQueue } from "./message-queue.ts";

test("is read in order, what was pushed before and what comes later", async () => {
  const queue = createMessageQueue<number>();
  queue.push(1);
  queue.push(2);
  const read = all(queue);
  await Promise.resolve();
  queue.push(3);
  queue.end();
  queue.push(4);
  expect(await read).toEqual([1, 2, 3]);
});

test("ends with an error once what is in it was read", async () => {
  const queue = createMessageQueue<number>();
  queue.push(1);
  queue.end(new Error("broken"));
  queue.end();
  const read: number[] = [];
  await expect(all(queue, read)).rejects.toThrow("broken");
  expect(read).toEqual([1]);
});

async function all<T>(messages: AsyncIterable<T>, into: T[] = []): Promise<T[]> {
  for await (const message of messages) into.push(message);
  return into;
}
