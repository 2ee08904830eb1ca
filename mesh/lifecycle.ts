/**
 * How a process ends: asked by SIGTERM or SIGINT it stops in good order and exits with 0; asked again it exits at once;
 * an error that nobody caught is logged and ends it with 1, since what it left behind cannot be known.
 */
import { constants } from "node:os";
import type { Logger } from "./observe/log.ts";

/** The part of `process` that is needed; a parameter for tests. */
export interface ProcessLike {
  on(event: "SIGTERM" | "SIGINT", listener: (signal: NodeJS.Signals) => void): unknown;
  on(event: "uncaughtException" | "unhandledRejection", listener: (error: unknown) => void): unknown;
  exit(code: number): unknown;
}

/** Takes over how the process ends. Call it once, from `main.ts` or what it calls. `stop` must end by itself. */
export function stopOnSignal(
  stop: () => Promise<void>,
  log: Logger,
  process: ProcessLike = globalThis.process,
): void {
  let stopping = false;

  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping) {
      process.exit(128 + constants.signals[signal]);
      return;
    }
    stopping = true;
    log.info({ signal }, "stopping");
    stop().then(
      () => {
        log.info("stopped");
        process.exit(0);
      },
      (error: unknown) => {
        log.error({ err: error }, "did not stop in good order");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);

  const onError = (error: unknown) => {
    log.fatal({ err: error }, "an error that nobody caught");
    process.exit(1);
  };
  process.on("uncaughtException", onError);
  process.on("unhandledRejection", onError);
}
