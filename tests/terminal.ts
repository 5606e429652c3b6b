/** Programs on a real terminal: `script` (util-linux) opens one and copies what it shows. */
import { inheritedEnv, MAIN } from "./proxy_process.ts";
import { waitFor } from "./wait.ts";

const EXIT_MS = 20_000;

export interface Terminal extends AsyncDisposable {
  /** Everything that was written to the terminal so far, as it came. */
  readonly written: () => string;
  /** Presses keys; `\x03` is Ctrl-C. */
  readonly type: (keys: string) => Promise<void>;
  /** Its lines as a reader sees them at the end of what was written. */
  readonly shown: () => readonly string[];
  /** The exit code, once the program has ended; throws if it lives on. */
  readonly exited: () => Promise<number>;
  readonly isOver: () => boolean;
}

export interface TerminalOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly columns?: number;
  readonly rows?: number;
}

/** Runs `llmproxy` with these arguments on a terminal of that size. */
export function openTerminal(args: readonly string[], { env, columns = 160, rows = 40 }: TerminalOptions): Terminal {
  const line = [Deno.execPath(), "run", "--quiet", "-A", MAIN, ...args].map(quoted).join(" ");
  const { NO_COLOR: _, ...inherited } = inheritedEnv();
  const child = new Deno.Command("script", {
    args: ["--quiet", "--flush", "--return", "--command", `stty columns ${columns} rows ${rows}; exec ${line}`, "/dev/null"],
    clearEnv: true,
    env: { ...inherited, TERM: "xterm-256color", SHELL: "/bin/sh", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const keys = child.stdin.getWriter();
  const life: { written: string; code: number | null } = { written: "", code: null };
  const heard = child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (text) => void (life.written += text) }),
  );
  const ended = Promise.all([child.status, heard]).then(([{ code }]) => life.code = code);
  return {
    written: () => life.written,
    type: (text) => keys.write(new TextEncoder().encode(text)),
    shown: () => shownLines(life.written),
    exited: () => waitFor(() => life.code, { what: "the program to end", deadlineMs: EXIT_MS }),
    isOver: () => life.code !== null,
    [Symbol.asyncDispose]: async () => {
      if (life.code === null) child.kill("SIGKILL");
      await ended;
      await keys.close().catch(() => {});
    },
  };
}

/** Runs it to its end. */
export async function onTerminal(
  args: readonly string[],
  options: TerminalOptions,
): Promise<{ readonly code: number; readonly written: string }> {
  await using terminal = openTerminal(args, options);
  const code = await terminal.exited();
  return { code, written: terminal.written() };
}

/** The lines of the last frame: what came after the cursor last went home. */
function shownLines(written: string): readonly string[] {
  const frame = written.split("\x1b[H").at(-1)!;
  return plain(frame).split("\r\n");
}

/** Without what steers the terminal. */
export function plain(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/\x1b\[[\d;?]*[A-Za-z]/g, "");
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
