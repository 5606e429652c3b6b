/** The SDKs of OpenAI and Google, and Anthropic's for other clouds, in a process of their own. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** OpenAI's two majors each speak two dialects. */
export const SDK_NAMES = [
  "openai-7-responses",
  "openai-7-chat",
  "openai-6-responses",
  "openai-6-chat",
  "genai",
  "bedrock",
  "vertex",
] as const;

export type SdkName = typeof SDK_NAMES[number];

/** What one SDK does, with its own defaults for retries. */
export interface Task {
  readonly sdk: SdkName;
  /**
   * `tool`: a call of a tool and the second turn. `abort`: a stream that is left after its first
   * text. Not every SDK has `count`, `background` and `stream-uncounted`.
   */
  readonly action: "answer" | "stream" | "stream-uncounted" | "tool" | "abort" | "count" | "background";
  readonly url: string;
  readonly token: string;
  readonly model: string;
}

export interface SdkResult {
  /** The answer's text, or what came of it. */
  readonly text: string;
  readonly error: { readonly name: string; readonly status: number | null; readonly message: string } | null;
  /** How long it took, with its retries, milliseconds. */
  readonly ms: number;
}

/** The driver of all SDKs. Tasks run one after the other. */
export interface SdkDriver extends AsyncDisposable {
  readonly run: (task: Task) => Promise<SdkResult>;
}

const FOLDER = fileURLToPath(new URL("client_sdks/", import.meta.url));

/**
 * A deno.json of their own names the packages: in the root's they would come with the first start
 * of everybody. The first run downloads them.
 */
export function startSdkDriver(): SdkDriver {
  const args = ["run", "--allow-all", "--no-check", "--quiet", "--config", `${FOLDER}deno.json`, `${FOLDER}driver.ts`];
  const child = spawn(Deno.execPath(), args, { env: environment() });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let stderr = "";
  child.stderr.on("data", (bytes) => void (stderr += bytes));
  let last: Promise<unknown> = Promise.resolve();
  async function run(task: Task): Promise<SdkResult> {
    child.stdin.write(`${JSON.stringify(task)}\n`);
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`The driver of SDKs ended: let Deno reach npm's registry. It said: ${stderr}`);
    return JSON.parse(value);
  }
  return {
    run: (task) => {
      const result = last.then(() => run(task));
      last = result.catch(() => {});
      return result;
    },
    [Symbol.asyncDispose]: () => stopped(child, ended),
  };
}

async function stopped(child: ChildProcessWithoutNullStreams, ended: Promise<void>): Promise<void> {
  child.stdin.end();
  child.kill();
  await ended;
}

/** None of the machine's own credentials, and nothing that names another host. */
function environment(): Record<string, string> {
  const passed = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME", "TMPDIR", "NPM_CONFIG_REGISTRY", "HTTPS_PROXY"];
  return Object.fromEntries(passed.flatMap((name) => Deno.env.get(name) === undefined ? [] : [[name, Deno.env.get(name)!]]));
}
