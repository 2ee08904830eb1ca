/**
 * Shows what several tools are doing: on a terminal one line each that is drawn over, elsewhere plain lines, and of a
 * download only its beginning.
 */
import type { Report, ToolName } from "./tool.ts";

/** The part of a stream that progress needs. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Returns a `report` that writes to the stream. */
export function createProgress(stream: ProgressStream): Report {
  const latest = new Map<ToolName, string>();
  let drawnLines = 0;
  return (tool, text) => {
    const before = latest.get(tool);
    latest.set(tool, text);
    if (stream.isTTY !== true) {
      if (before === undefined || stage(before) !== stage(text)) stream.write(`${tool}: ${text}\n`);
      return;
    }
    const up = drawnLines === 0 ? "" : `\x1b[${drawnLines}A`;
    const width = (stream.columns ?? 80) - 1;
    const lines = [...latest].map(
      ([tool, text]) => `\x1b[2K${`  ${tool.padEnd(9)} ${text}`.slice(0, width)}\n`,
    );
    stream.write(up + lines.join(""));
    drawnLines = lines.length;
  };
}

// `downloading, 12 of 48 MB` and `downloading, 20 of 48 MB` are the same stage.
function stage(text: string): string {
  return text.replaceAll(/\d+/g, "0");
}
