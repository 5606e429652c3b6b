import type { CliSystem } from "./system.ts";

const WIDTH = 30;
const EVERY_MS = 100;

/** How a download goes, on one line of the terminal; where there is none, nothing is said. */
export interface Progress {
  readonly add: (bytes: number) => void;
  /** Clears the line. */
  readonly end: () => void;
}

/** `expected`: bytes in all, about; null where nobody can say. */
export function startProgress(
  { stderr, isTerminal, now }: Pick<CliSystem, "stderr" | "isTerminal" | "now">,
  expected: number | null,
): Progress {
  if (!isTerminal()) return { add: () => {}, end: () => {} };
  let came = 0;
  let shownAt = Number.NEGATIVE_INFINITY;
  return {
    add(bytes) {
      came += bytes;
      if (now() - shownAt < EVERY_MS) return;
      shownAt = now();
      stderr(`\r\x1b[K${barOf(came, expected)}${megabytes(came)}`);
    },
    end: () => stderr("\r\x1b[K"),
  };
}

/** The estimate may be too low: a bar is only full at the end. */
function barOf(came: number, expected: number | null): string {
  if (expected === null) return "";
  const part = Math.min(came / Math.max(expected, 1), 0.99);
  const full = Math.floor(part * WIDTH);
  return `[${"#".repeat(full)}${".".repeat(WIDTH - full)}] ${String(Math.floor(part * 100)).padStart(2)} %  `;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
