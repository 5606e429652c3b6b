import type { Screen } from "./table.ts";

/** The terminal that stdout writes to, as large as it is now; null: a file or a pipe. */
export function screenOfStdout(): Screen | null {
  if (!Deno.stdout.isTerminal()) return null;
  const { columns, rows } = Deno.consoleSize();
  // A terminal that does not know its size says 0.
  return { width: columns || 80, height: rows || 24, hasColors: !Deno.noColor && Deno.env.get("TERM") !== "dumb" };
}

/** Aborts at the first signal that would end the process. A second one ends it. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  function interrupt(): void {
    for (const name of signals) Deno.removeSignalListener(name, interrupt);
    controller.abort();
  }
  for (const name of signals) Deno.addSignalListener(name, interrupt);
  return controller.signal;
}

/**
 * Tells each key without the line end that a terminal waits for, until it is disposed of. Ctrl-C
 * still interrupts. If stdin is no terminal, no key comes.
 */
export function keyboard(pressed: (key: string) => void): Disposable {
  if (!Deno.stdin.isTerminal()) return { [Symbol.dispose]: () => {} };
  Deno.stdin.setRaw(true, { cbreak: true });
  const reader = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).getReader();
  async function read(): Promise<void> {
    for (let { value } = await reader.read(); value !== undefined; { value } = await reader.read()) pressed(value);
  }
  // A terminal that went away has no keys any more.
  read().catch(() => {});
  return { [Symbol.dispose]: () => Deno.stdin.setRaw(false) };
}
