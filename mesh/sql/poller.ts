/** Asks one member again and again, and tells what it says. */
import type { Clock } from "../clock.ts";
import type { Ask } from "./ask.ts";
import type { Problem, View } from "./topology.ts";

/** What a poller needs. */
export interface PollerOptions {
  readonly ask: Ask;
  readonly address: string;
  readonly clock: Clock;
  /** How long to wait before the next question. */
  readonly pauseMs: () => number;
  /** Told each answer. */
  readonly report: (report: View | Problem) => void;
}

/** Asks until it is closed. */
export class Poller {
  readonly #options: PollerOptions;
  #asking: Promise<boolean> | undefined;
  #cancelPause: (() => void) | undefined;
  #wasLate = false;
  #closed = false;
  /** Settles with the first answer. */
  readonly first: Promise<boolean>;

  constructor(options: PollerOptions) {
    this.#options = options;
    this.first = this.askNow();
  }

  /** Asks unless it is being asked already; tells whether it answered. */
  askNow(): Promise<boolean> {
    this.#cancelPause?.();
    this.#asking ??= this.#askOnce();
    return this.#asking;
  }

  /** Asks sooner than it would have. */
  hurry(): void {
    if (this.#asking === undefined) void this.askNow();
  }

  close(): void {
    this.#closed = true;
    this.#cancelPause?.();
    this.#options.ask.close?.();
  }

  async #askOnce(): Promise<boolean> {
    const report = await this.#options.ask(this.#options.address);
    this.#asking = undefined;
    if (this.#closed) return false;
    if (this.#isFirstMiss(report)) return this.#pause();
    this.#options.report(report);
    if (this.#asking === undefined) this.#pause();
    return !("problem" in report);
  }

  /** A machine that is busy misses one question now and then, a frozen one misses them all. */
  #isFirstMiss(report: View | Problem): boolean {
    const isLate = "problem" in report && report.late === true;
    const isFirst = isLate && !this.#wasLate;
    this.#wasLate = isLate;
    return isFirst;
  }

  #pause(): false {
    this.#cancelPause = this.#options.clock.after(this.#options.pauseMs(), () => void this.askNow());
    return false;
  }
}
