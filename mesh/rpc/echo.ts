/** An implementation of `heddle.echo.v1.EchoService`, for tests and benchmarks. */
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { EchoService } from "../../gen/ts/heddle/echo/v1/echo_pb.ts";
import { sleep } from "../clock.ts";

/** Says back what it hears. `recorded` gets the id of every Record that ran. */
export function createEcho(instance = "", recorded: string[] = []): ServiceImpl<typeof EchoService> {
  return {
    async echo({ text, delay, code }, { signal }) {
      if (delay !== undefined) await sleep(durationMs(delay), signal);
      if (code in Code) throw new ConnectError(text, code);
      return { text, instance };
    },
    record({ id }) {
      recorded.push(id);
      return { id };
    },
    async *repeat({ text, times }) {
      for (let i = 0; i < times; i++) yield { text };
    },
    async gather(requests) {
      let text = "";
      for await (const request of requests) text += request.text;
      return { text };
    },
    async *talk(requests) {
      for await (const { text } of requests) yield { text };
    },
  };
}
