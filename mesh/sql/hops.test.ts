/** Tokens over real hops: client → one service → another, as a caller without any code for it sees them. */
import { Code, ConnectError, createClient, type ServiceImpl } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { EchoService } from "../../gen/ts/heddle/echo/v1/echo_pb.ts";
import { service } from "../rpc/server.ts";
import { openChannel, startServer } from "../rpc/testing.ts";
import { createTransport } from "../rpc/transport.ts";
import {
  currentTokens,
  inSession,
  TOKEN_HEADER,
  tokenClientInterceptor,
  tokenServerInterceptor,
} from "./consistency.ts";
import { parseGtidSet } from "./gtid.ts";

const U = "3f6a2b52-5a53-4c6e-9f6d-0b7f6d9f1a01";

function clientOf(address: string) {
  return createClient(
    EchoService,
    createTransport(openChannel({ address }), { interceptors: [tokenClientInterceptor()] }),
  );
}

async function serve(implementation: Partial<ServiceImpl<typeof EchoService>>) {
  const { address } = await startServer({
    services: [service(EchoService, implementation)],
    interceptors: [tokenServerInterceptor()],
  });
  return clientOf(address);
}

/** Pretends to have written transaction `number` of a schema. */
const wrote = (schema: string, number: number) =>
  currentTokens()!.add(schema, parseGtidSet(`${U}:${number}`));

/** Two services: the first one writes and calls the second one, which writes as well. */
async function twoServices() {
  const seen: (string | undefined)[] = [];
  const second = await serve({
    record({ id }) {
      seen.push(currentTokens()?.header());
      wrote("inventory", 7);
      if (id === "fail") throw new ConnectError("no", Code.Aborted);
      return { id };
    },
  });
  const first = await serve({
    async record({ id }) {
      wrote("order", 1);
      return second.record({ id });
    },
    async *repeat({ text }) {
      yield { text };
      wrote("order", 2);
    },
    echo: ({ text }) => ({ text: `${text} ${currentTokens()?.header()}` }),
  });
  return { first, seen };
}

test("what was written anywhere below a call comes back in its trailer", async () => {
  const { first, seen } = await twoServices();
  let trailer = new Headers();
  await first.record({ id: "go" }, { onTrailer: (found) => (trailer = found) });
  expect(seen).toEqual([`order=${U}:1`]);
  expect(trailer.get(TOKEN_HEADER)).toBe(`order=${U}:1, inventory=${U}:7`);
});

test("a session carries it to its next calls, also after an error or a stream", async () => {
  const { first } = await twoServices();
  await inSession(async () => {
    await expect(first.record({ id: "fail" })).rejects.toThrow("no");
    expect((await first.echo({ text: "now" })).text).toBe(`now order=${U}:1, inventory=${U}:7`);
    for await (const { text } of first.repeat({ text: "again", times: 1 })) expect(text).toBe("again");
    expect((await first.echo({ text: "then" })).text).toBe(`then order=${U}:1-2, inventory=${U}:7`);
  });
});

test("whatever a caller sends as a token, the call goes on", async () => {
  const { first } = await twoServices();
  for (const token of ["", "garbage", `order=${U}:99999999999999999999`, "a=b=c,,,"]) {
    const { text } = await first.echo({ text: "ok" }, { headers: { [TOKEN_HEADER]: token } });
    expect(text).toBe("ok undefined");
  }
});
