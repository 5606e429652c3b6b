/** Runs `deno task dev` in a new folder, and a shell that finds it as a reader of the docs does. */
import { inheritedEnv } from "./proxy_process.ts";
import { waitFor } from "./wait.ts";

const ROOT = new URL("../", import.meta.url).pathname;
/** A busy machine takes its time to start a runtime, and two of them. */
const START_MS = 60_000;

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface DevProcess extends AsyncDisposable {
  /** Where it runs: its data directory is `data` below. */
  readonly folder: string;
  readonly url: string;
  readonly adminUrl: string;
  readonly token: string;
  readonly adminToken: string;
  /** What it printed before its log. */
  readonly printed: string;
  /** The printed line that streams an answer, and the one that shows its usage row. */
  readonly streams: string;
  readonly shows: string;
  /** Runs the line in the folder by a shell that knows `curl`, `llmproxy` and `sudo`. */
  readonly shell: (line: string) => Promise<Ran>;
  /** Ctrl-C; resolves to the exit code. */
  readonly stop: () => Promise<number>;
}

/** A program of `tools/` that runs until Ctrl-C. */
export interface ToolProcess {
  /** What it printed until it was ready. */
  readonly printed: string;
  /** Ctrl-C; resolves to the exit code. */
  readonly stop: () => Promise<number>;
}

/** Starts it on free ports, and waits until it has printed that text. Throws if it ends before. */
export async function startTool(
  tool: string,
  { args = [], cwd, untilPrinted }: { readonly args?: readonly string[]; readonly cwd: string; readonly untilPrinted: string },
): Promise<ToolProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--config", `${ROOT}deno.json`, `${ROOT}tools/${tool}`, ...args],
    cwd,
    clearEnv: true,
    env: { ...inheritedEnv(), LLMPROXY_LISTEN_ADDR: "127.0.0.1:0", LLMPROXY_ADMIN_ADDR: "127.0.0.1:0" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const life: { printed: string; code: number | null } = { printed: "", code: null };
  const read = child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (text) => void (life.printed += text) }),
  );
  const ended = Promise.all([child.status, read]).then(([{ code }]) => life.code = code);
  const stop = async () => {
    if (life.code === null) child.kill("SIGINT");
    return await ended;
  };
  try {
    const printed = await waitFor(() => {
      if (life.code !== null) throw new Error(`${tool} ended with ${life.code}: ${life.printed}`);
      return life.printed.includes(untilPrinted) && life.printed;
    }, { what: `${tool} to print "${untilPrinted}"`, deadlineMs: START_MS });
    return { printed, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts it with nothing configured but free ports, and waits until all is printed. */
export async function startDev(): Promise<DevProcess> {
  const folder = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  let dev: ToolProcess | null = null;
  const end = async () => {
    await dev?.stop();
    await Deno.remove(folder, { recursive: true });
  };
  try {
    dev = await startTool("dev.ts", { cwd: folder, untilPrinted: "export ANTHROPIC_API_KEY=" });
    const { printed, stop } = dev;
    const lines = printed.split("\n").map((line) => line.trim());
    const [streams, shows] = lines.filter((line) => line.startsWith("curl "));
    const [url, adminUrl] = [/^proxy +(\S+)/, /^admin +(\S+)/].map((word) =>
      lines.map((line) => word.exec(line)).find(Boolean)![1]!
    );
    const token = /llmp_[\w-]+/.exec(printed)![0];
    const adminToken = Deno.readTextFileSync(`${folder}/data/admin-token`).trim();
    const env = {
      ...inheritedEnv(),
      PATH: `${await makePrograms(folder)}:${Deno.env.get("PATH")}`,
      LLMPROXY_DATA_DIR: `${folder}/data`,
      LLMPROXY_LISTEN_ADDR: new URL(url!).host,
      LLMPROXY_ADMIN_ADDR: new URL(adminUrl!).host,
      ANTHROPIC_API_KEY: "sk-simulated",
    };
    return {
      ...{ folder, url: url!, adminUrl: adminUrl!, token, adminToken, printed, streams: streams!, shows: shows!, stop },
      shell: (line) => run("sh", ["-c", line], { cwd: folder, env }),
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

export async function run(
  program: string,
  args: readonly string[],
  { cwd = ROOT, env = inheritedEnv() }: { readonly cwd?: string; readonly env?: Record<string, string> } = {},
): Promise<Ran> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args: [...args], cwd, clearEnv: true, env }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Makes `llmproxy`, a `sudo` without rights and, if needed, a `curl`. Returns their folder. */
async function makePrograms(folder: string): Promise<string> {
  const deno = `exec '${Deno.execPath()}' run -A --no-check --config '${ROOT}deno.json'`;
  const programs: Record<string, string> = {
    llmproxy: `${deno} '${ROOT}main.ts' "$@"`,
    sudo: 'exec env "$@"',
  };
  const hasCurl = await run("curl", ["--version"]).then(({ code }) => code === 0, () => false);
  if (!hasCurl) programs.curl = `${deno} '${ROOT}tests/curl_stand_in.ts' "$@"`;
  const bin = `${folder}/bin`;
  Deno.mkdirSync(bin);
  for (const [name, text] of Object.entries(programs)) {
    Deno.writeTextFileSync(`${bin}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  return bin;
}
