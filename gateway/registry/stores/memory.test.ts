import { createManualClock } from "../testing.ts";
import { describeStore } from "./conformance.ts";
import { createMemoryStore } from "./memory.ts";

const clock = createManualClock();

describeStore("the memory store", {
  make: (options) => Promise.resolve(createMemoryStore({ ...options, clock })),
  pass(ms) {
    clock.advance(ms);
    return Promise.resolve();
  },
});
