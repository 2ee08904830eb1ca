/**
 * What the three tools have in common: the options of a search, what is found, and how progress is told.
 */

/** A server program that Heddle needs. */
export type ToolName = "mysql" | "redis" | "temporal";

/** Called with one short line whenever there is something new to tell, such as `downloading, 12 of 48 MB`. */
export type Report = (tool: ToolName, text: string) => void;

/** Environment variables; only `PATH`, `HOME` and `XDG_CACHE_HOME` are looked at, the rest goes to child processes. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** How to look for a tool. */
export interface ToolOptions {
  /** Path of the program from the configuration. It alone is used, and it is an error if it is not fit. */
  readonly configured?: string | undefined;
  /** Where tools are installed. Default `$XDG_CACHE_HOME/heddle`, else `~/.cache/heddle`. */
  readonly cacheFolder?: string | undefined;
  /** Default `process.env`. */
  readonly env?: Environment | undefined;
  /** Default: silent. */
  readonly report?: Report | undefined;
  /** Ends a search or an installation early; what is already there is kept for the next one. */
  readonly signal?: AbortSignal | undefined;
}

/** A program that was found or installed. */
export interface Tool {
  readonly name: ToolName;
  /** Absolute path of the program. */
  readonly executable: string;
  /** Such as `9.7.4`. */
  readonly version: string;
  /** How it was found, for the log: `configured`, `on PATH`, or the way it was installed. */
  readonly source: string;
}
