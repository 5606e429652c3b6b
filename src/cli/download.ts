import { deadline } from "../async/deadline.ts";
import { type CliSystem, CommandFailure } from "./system.ts";

/** A finished download that has yet to get its name. */
export interface Downloaded {
  readonly partialPath: string;
  /** Gives the file its name, over a file that had it. */
  readonly rename: () => Promise<void>;
  readonly discard: () => Promise<void>;
}

export interface DownloadOptions {
  /** Undefined: to stdout. */
  readonly output: string | undefined;
  /** For an operator. */
  readonly what: string;
  /** An estimate; null if unknown. */
  readonly expectedBytes: number | null;
}

/** A proxy that sends nothing for so long has been lost. */
const IDLE_MS = 120_000;
const BAR_WIDTH = 30;
const SHOW_EVERY_MS = 100;

/**
 * Writes the body as it comes. Resolves to the finished file, or to null for stdout. Rejects with
 * `CommandFailure` if the body breaks off; then it leaves no file.
 */
export async function download(
  system: CliSystem,
  answer: Response,
  { output, what, expectedBytes }: DownloadOptions,
): Promise<Downloaded | null> {
  const file = output === undefined ? null : await openPartial(output);
  const write = file?.write ?? system.writeOut;
  const progress = progressOn(system, expectedBytes);
  let isWriting = false;
  try {
    for await (const chunk of withIdleTimeout(answer.body)) {
      isWriting = true;
      await write(chunk);
      isWriting = false;
      progress.add(chunk.length);
    }
    isWriting = true;
    await file?.finish();
    return file;
  } catch (cause) {
    await file?.discard();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CommandFailure(
      isWriting
        ? `Cannot write the ${what}: ${reason}`
        : `The ${what} broke off: ${reason}. What came of it is not whole; the proxy's log may say why`,
      { cause },
    );
  } finally {
    progress.end();
  }
}

async function* withIdleTimeout(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await deadline(reader.read(), IDLE_MS, () => new Error(`nothing came for ${IDLE_MS / 1000} s`));
      if (done) return;
      yield value;
    }
  } finally {
    // Not awaited: a lost proxy does not answer this either.
    reader.cancel().catch(() => {});
  }
}

/** Opens `path`.partial, readable by its owner only, because it holds all tenants' calls. */
async function openPartial(path: string) {
  const partialPath = `${path}.partial`;
  const file = await Deno.open(partialPath, { write: true, create: true, truncate: true, mode: 0o600 }).catch((cause) => {
    throw new CommandFailure(`Cannot write ${partialPath}: ${cause.message}`, { cause });
  });
  let isOpen = true;
  function close(): void {
    if (isOpen) file.close();
    isOpen = false;
  }
  return {
    partialPath,
    write: async (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    },
    finish: async () => {
      await file.sync();
      close();
    },
    rename: () => Deno.rename(partialPath, path),
    discard: async () => {
      close();
      await Deno.remove(partialPath).catch(() => {});
    },
  };
}

/** Shows progress on one line of the terminal; without a terminal, nothing. */
function progressOn({ stderr, isTerminal, now }: CliSystem, expected: number | null) {
  if (!isTerminal()) return { add: () => {}, end: () => {} };
  let came = 0;
  let shownAt = Number.NEGATIVE_INFINITY;
  return {
    add(bytes: number) {
      came += bytes;
      if (now() - shownAt < SHOW_EVERY_MS) return;
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
  const full = Math.floor(part * BAR_WIDTH);
  return `[${"#".repeat(full)}${".".repeat(BAR_WIDTH - full)}] ${String(Math.floor(part * 100)).padStart(2)} %  `;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
