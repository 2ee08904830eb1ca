/** What the person at the terminal sees: one live line of progress on a TTY, plain lines elsewhere. */

/** Progress of several things at once. */
export interface Screen {
  /** Says how far one thing is; on a TTY it replaces what was said of it before. */
  progress(name: string, text: string): void;
  /** One thing is finished. */
  done(name: string, text: string): void;
  /** A line that stays. */
  line(text: string): void;
}

/** The part of a terminal or file that a screen needs. */
export interface ScreenStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** A screen on a stream. On a terminal `columns` limits the live line. */
export function createScreen(out: ScreenStream): Screen {
  return out.isTTY === true ? liveScreen(out) : plainScreen(out);
}

function plainScreen(out: ScreenStream): Screen {
  const last = new Map<string, string>();
  const line = (text: string) => out.write(`${text}\n`);
  return {
    line,
    progress(name, text) {
      // A download reports often; plain output gets a line where its words change, not its figures.
      const words = text.replaceAll(/[\d.,]+/g, "#");
      if (last.get(name) === words) return;
      last.set(name, words);
      line(`${name}: ${text}`);
    },
    done: (name, text) => line(`${name}: ${text}`),
  };
}

function liveScreen(out: ScreenStream): Screen {
  const running = new Map<string, string>();
  const clear = () => out.write("\r\u001b[2K");
  function draw(): void {
    const text = [...running].map(([name, state]) => (state === "" ? name : `${name} ${state}`)).join(" · ");
    clear();
    if (text !== "") out.write(text.slice(0, Math.max(20, (out.columns ?? 80) - 1)));
  }
  function line(text: string): void {
    clear();
    out.write(`${text}\n`);
    draw();
  }
  return {
    line,
    progress(name, text) {
      running.set(name, text);
      draw();
    },
    done(name, text) {
      running.delete(name);
      line(`\u001b[32m✓\u001b[0m ${name} ${text}`);
    },
  };
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, column) => Math.max(cell.length, widest[column] ?? 0)),
    [],
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
