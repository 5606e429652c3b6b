import { beginFile, type OutputFile } from "./output_file.ts";
import { type CliSystem, CommandFailure } from "./system.ts";
import { startProgress } from "./progress.ts";

export interface SaveOptions {
  /** Null: to stdout. */
  readonly output: string | null;
  /** For an operator. */
  readonly what: string;
  /** About; null where nobody can say. */
  readonly expectedBytes: number | null;
}

/** A proxy that says nothing for so long has been lost. */
const SILENCE_MS = 120_000;

/**
 * Writes the body as it comes. Resolves to the finished file, which has yet to be given its name; to null for stdout.
 * Rejects with `CommandFailure` where the body breaks off; then no file is left.
 */
export async function saveBody(
  system: CliSystem,
  answer: Response,
  { output, what, expectedBytes }: SaveOptions,
): Promise<OutputFile | null> {
  const file = output === null ? null : await beginFile(output);
  const write = file?.write ?? system.writeOut;
  const progress = startProgress(system, expectedBytes);
  let writing = false;
  try {
    for await (const chunk of withinSilence(answer.body)) {
      writing = true;
      await write(chunk);
      writing = false;
      progress.add(chunk.length);
    }
    writing = true;
    await file?.finish();
    return file;
  } catch (cause) {
    await file?.discard();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CommandFailure(
      writing
        ? `Cannot write the ${what}: ${reason}`
        : `The ${what} broke off: ${reason}. What came of it is not whole; the proxy's log may say why`,
      { cause },
    );
  } finally {
    progress.end();
  }
}

async function* withinSilence(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    for (;;) {
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => late.reject(new Error(`nothing came for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
      const { done, value } = await Promise.race([reader.read(), late.promise]).finally(() => clearTimeout(timer));
      if (done) return;
      yield value;
    }
  } finally {
    // Not awaited: a proxy that is lost answers this neither.
    reader.cancel().catch(() => {});
  }
}
