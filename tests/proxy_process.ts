/**
 * The proxy as a process of its own, as an operator runs it: told by its environment and by
 * signals, heard by its log.
 */
import { adminOf, closedRows, type ProxyUnderTest, readRows, settingsOf } from "./proxy_under_test.ts";
import { waitFor } from "./wait.ts";

const ROOT = new URL("../", import.meta.url);
export const MAIN = new URL("main.ts", ROOT).pathname;
/** A busy machine takes its time to start a runtime. */
const START_MS = 20_000;
const EXIT_MS = 15_000;
/** What the tests' own environment must not tell the proxy. */
const NOT_OURS = /^(LLMPROXY_.*|ANTHROPIC_.*|STATE_DIRECTORY|(all|http|https|no)_proxy)$/i;

export interface ProxyProcess extends AsyncDisposable, Pick<ProxyUnderTest, "token" | "ask" | "text" | "rows" | "closedRows"> {
  /** The proxy listener's base URL. */
  readonly url: string;
  readonly adminUrl: string;
  readonly pid: number;
  /** The environment in which the command line finds this proxy. */
  readonly env: Readonly<Record<string, string>>;
  /** Lines of stdout so far, as objects. */
  readonly logs: () => readonly Readonly<Record<string, unknown>>[];
  /** Everything that came out of stdout and stderr so far. */
  readonly output: () => string;
  readonly kill: (signal: Deno.Signal) => void;
  /** How it ended; throws where it lives on. */
  readonly exited: () => Promise<Deno.CommandStatus>;
}

export interface ProcessOptions {
  readonly upstreamUrl: string;
  readonly dataDir: string;
  /** Settings over those of `settingsOf`; an empty value unsets one. */
  readonly env?: Readonly<Record<string, string>>;
  /** Another program than main.ts, by its path from the root. */
  readonly program?: string;
  /** What starts the program with its arguments in its stead, such as `env`. */
  readonly launcher?: readonly string[];
  /** Called as soon as the process is there; what listens is waited for afterwards. */
  readonly onSpawned?: (pid: number) => Promise<void>;
  /** From when it listens until then no program reads its stdout. */
  readonly logReadAgain?: Promise<void>;
}

/**
 * Starts `llmproxy serve` and resolves when it listens. Disposing kills it; the data directory is
 * the caller's.
 */
export async function startProxyProcess(
  { upstreamUrl, dataDir, env = {}, program = MAIN, launcher, onSpawned, logReadAgain }: ProcessOptions,
): Promise<ProxyProcess> {
  const settings = settingsOf(upstreamUrl, dataDir, env);
  const child = command(["serve"], settings, { program, launcher }).spawn();
  const output = { stdout: "", stderr: "" };
  const heard = Promise.all([
    gather(child.stdout, (text) => {
      output.stdout += text;
      return text.includes('"msg":"listening"') ? logReadAgain : undefined;
    }),
    gather(child.stderr, (text) => void (output.stderr += text)),
  ]);
  const life: { status: Deno.CommandStatus | null } = { status: null };
  const ended = Promise.all([child.status, heard]).then(([status]) => life.status = status);

  const logs = () => recordsOf(output.stdout);
  await onSpawned?.(child.pid);
  const listening = await waitFor(() => {
    if (life.status !== null) throw new Error(`The proxy ended with ${life.status.code}: ${output.stdout}${output.stderr}`);
    return logs().find((record) => record.msg === "listening") ?? null;
  }, { what: "the proxy to listen", deadlineMs: START_MS });
  const url = urlOf(listening.proxy);
  const adminUrl = urlOf(listening.admin);
  const adminToken = settings.LLMPROXY_ADMIN_TOKEN || Deno.readTextFileSync(`${dataDir}/admin-token`).trim();
  const rows = () => readRows(dataDir);
  return {
    url,
    adminUrl,
    pid: child.pid,
    env: { ...settings, LLMPROXY_LISTEN_ADDR: new URL(url).host, LLMPROXY_ADMIN_ADDR: new URL(adminUrl).host },
    logs,
    output: () => output.stdout + output.stderr,
    kill: (signal) => child.kill(signal),
    exited: () => waitFor(() => life.status, { what: "the proxy to end", deadlineMs: EXIT_MS }),
    ...adminOf(adminUrl, adminToken),
    rows,
    closedRows: (count) => closedRows(dataDir, count),
    [Symbol.asyncDispose]: async () => {
      if (life.status === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Runs `llmproxy` with these arguments to its end. */
export async function runCommandLine(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const { code, stdout, stderr } = await command(args, env).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** `llmproxy` while it runs. */
export interface RunningCommand extends AsyncDisposable {
  /** Whole lines of stdout so far. */
  readonly lines: () => readonly string[];
  readonly stderr: () => string;
  readonly kill: (signal: Deno.Signal) => void;
  /** Its exit code; throws where it lives on. */
  readonly exited: () => Promise<number>;
  /** Closes the pipe that it writes to. */
  readonly stopReading: () => Promise<void>;
}

/** Starts `llmproxy` with these arguments. Disposing kills it. */
export function startCommandLine(args: readonly string[], env: Readonly<Record<string, string>>): RunningCommand {
  const child = command(args, env).spawn();
  const output = { stdout: "", stderr: "" };
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  async function read(): Promise<void> {
    for (let { value } = await reader.read(); value !== undefined; { value } = await reader.read()) output.stdout += value;
  }
  const heard = Promise.all([read(), gather(child.stderr, (text) => void (output.stderr += text))]);
  const life: { code: number | null } = { code: null };
  const ended = Promise.all([child.status, heard]).then(([{ code }]) => life.code = code);
  return {
    lines: () => output.stdout.split("\n").slice(0, -1),
    stderr: () => output.stderr,
    kill: (signal) => child.kill(signal),
    exited: () => waitFor(() => life.code, { what: "the command to end", deadlineMs: EXIT_MS }),
    stopReading: () => reader.cancel(),
    [Symbol.asyncDispose]: async () => {
      if (life.code === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

/** The tests' own environment, except what steers a proxy or its clients. */
export function inheritedEnv(): Record<string, string> {
  return Object.fromEntries(Object.entries(Deno.env.toObject()).filter(([name]) => !NOT_OURS.test(name)));
}

function command(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  { program = MAIN, launcher = [] }: { readonly program?: string; readonly launcher?: readonly string[] | undefined } = {},
): Deno.Command {
  const [path, ...rest] = [...launcher, Deno.execPath(), "run", "-A", program, ...args];
  return new Deno.Command(path!, {
    args: rest,
    cwd: ROOT,
    clearEnv: true,
    env: { ...inheritedEnv(), ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function gather(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  onText: (text: string) => Promise<void> | undefined | void,
): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) await onText(text);
}

/** Whole lines only; a line that is no JSON is an error of the program. */
function recordsOf(stdout: string): readonly Readonly<Record<string, unknown>>[] {
  return stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

function urlOf(address: unknown): string {
  const { hostname, port } = address as Deno.NetAddr;
  return `http://${hostname}:${port}`;
}
