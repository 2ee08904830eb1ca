/** The log of a process: JSON lines on standard output, with no secrets in them. */
import { pino, type Logger } from "pino";

export type { Logger } from "pino";

/** Who logs, and how much. */
export interface LogOptions {
  /** Name of the process, such as `order`: field `service`. */
  readonly service: string;
  /** Which of its instances: field `instance`. */
  readonly instance?: string;
  /** `trace`, `debug`, `info` (default), `warn`, `error`, `fatal` or `silent`. */
  readonly level?: string;
}

/** Names of fields whose value is never written, at the top of a line and one level down. */
const secrets = ["password", "migrationPassword", "authorization", "cookie", "token", "apiKey", "secret"];

/** Makes a log. `to` is where lines go; standard output unless a test wants to read them. */
export function createLog(options: LogOptions, to?: { write(line: string): void }): Logger {
  const settings = {
    level: options.level === undefined || options.level === "" ? "info" : options.level,
    base: { service: options.service, ...(options.instance !== undefined && { instance: options.instance }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: secrets.flatMap((name) => [name, `*.${name}`]), censor: "[redacted]" },
  };
  return to === undefined ? pino(settings) : pino(settings, to);
}

/** A log that writes nothing. */
export const silentLog: Logger = pino({ level: "silent" });
