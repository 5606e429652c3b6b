/** Runs a program to its end, or to a deadline, with no one at its keyboard. */

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly deadlineMs: number;
  readonly cwd?: string;
  /** All that the program gets; the tests' own environment if unset. */
  readonly env?: Readonly<Record<string, string>>;
  /** Interrupts the program (SIGINT). */
  readonly signal?: AbortSignal;
}

/** If the program does not end in time, this kills it and throws what it had printed. */
export async function runProgram(program: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  const { deadlineMs, cwd, env, signal } = options;
  const child = new Deno.Command(program, {
    args: [...args],
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { clearEnv: true, env }),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let hasEnded = false;
  signal?.addEventListener("abort", () => hasEnded || child.kill("SIGINT"), { once: true });
  const late = new AbortController();
  const deadline = setTimeout(() => {
    late.abort();
    child.kill("SIGKILL");
  }, deadlineMs);
  // A child of the program may hold the pipes open, so the deadline ends the reading too.
  const [stdout, stderr] = [gather(child.stdout, late.signal), gather(child.stderr, late.signal)];
  const { code } = await child.status;
  hasEnded = true;
  const ended = { code, stdout: await stdout, stderr: await stderr };
  clearTimeout(deadline);
  if (late.signal.aborted) throw new Error(`${program} did not end within ${deadlineMs} ms: ${ended.stdout}${ended.stderr}`);
  return ended;
}

async function gather(stream: ReadableStream<Uint8Array<ArrayBuffer>>, signal: AbortSignal): Promise<string> {
  let text = "";
  const sink = new WritableStream<string>({ write: (more) => void (text += more) });
  await stream.pipeThrough(new TextDecoderStream()).pipeTo(sink, { signal }).catch((error) => {
    if (!signal.aborted) throw error;
  });
  return text;
}
