import { expect, test } from "vitest";
import { createStaticResolver } from "./static-resolver.ts";

test("answers every service with the same addresses", async () => {
  const resolver = createStaticResolver(["127.0.0.1:1", "127.0.0.1:2"]);
  await resolver.ready("test.v1.EchoService", AbortSignal.timeout(1000));
  const set = resolver.watch("test.v1.EchoService");
  expect(set.current().map(({ address }) => address)).toEqual(["127.0.0.1:1", "127.0.0.1:2"]);
  expect(resolver.watch("test.v1.OtherService").current()).toBe(set.current());
});
