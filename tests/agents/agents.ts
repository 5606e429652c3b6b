/**
 * How each agent is pointed at the proxy, as docs/agents.md says, and run once: without a terminal,
 * in a home of its own.
 */
import { type AgentProgram, agentProgram, nodeProgram } from "./agent_packages.ts";
import { type Ended, runProgram } from "./agent_process.ts";
import type { ShellTool } from "./scripted_model.ts";

const MODEL = "claude-haiku-4-5";
/** A busy machine takes its time to start a binary of 400 MB. */
const RUN_MS = 120_000;

/** Where the proxy is and who asks. */
export interface Pointing {
  readonly url: string;
  readonly token: string;
  /** The trace id that the agent is told to send, a UUID; null: none. */
  readonly traceId: string | null;
}

/** An agent, and how it is run. */
export interface RunnableAgent {
  readonly name: AgentProgram;
  /** Whether Node runs it. */
  readonly isScript: boolean;
  readonly args: (prompt: string, to: Pointing) => readonly string[];
  /** Variables that point it at the proxy and that keep it from calling other hosts. */
  readonly env: (to: Pointing) => Readonly<Record<string, string>>;
  /** Files by their path from the home folder. The agent runs in `project`. */
  readonly files: (to: Pointing) => Readonly<Record<string, unknown>>;
}

export interface Agent extends RunnableAgent {
  readonly tool: ShellTool;
}

const CLAUDE_CODE: Agent = {
  name: "claude-code",
  isScript: false,
  tool: { name: "Bash", input: { description: "Prints a word" } },
  args: (prompt) => ["-p", prompt, "--output-format", "json", "--model", MODEL, "--allowedTools", "Bash(echo:*)"],
  env: ({ url, token, traceId }) => ({
    ANTHROPIC_BASE_URL: url,
    ANTHROPIC_API_KEY: token,
    ...(traceId === null ? {} : { ANTHROPIC_CUSTOM_HEADERS: `X-Trace-Id: ${traceId}` }),
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_AUTOUPDATER: "1",
    DISABLE_TELEMETRY: "1",
    DISABLE_ERROR_REPORTING: "1",
  }),
  files: () => ({}),
};

/** As models.dev writes it. */
const OPENCODE_MODELS = {
  anthropic: {
    id: "anthropic",
    name: "Anthropic",
    env: ["ANTHROPIC_API_KEY"],
    npm: "@ai-sdk/anthropic",
    models: {
      [MODEL]: {
        id: MODEL,
        name: MODEL,
        release_date: "2025-10-15",
        attachment: true,
        reasoning: true,
        temperature: true,
        tool_call: true,
        cost: { input: 1, output: 5, cache_read: 0.1, cache_write: 1.25 },
        limit: { context: 200_000, output: 64_000 },
      },
    },
  },
};

const OPENCODE: Agent = {
  name: "opencode",
  isScript: false,
  tool: { name: "bash", input: { description: "Prints a word" } },
  args: (prompt) => ["run", "--pure", "--model", `anthropic/${MODEL}`, prompt],
  env: ({ token, traceId }) => ({
    ANTHROPIC_API_KEY: token,
    ...(traceId === null ? {} : { RUN_ID: traceId }),
    OPENCODE_DISABLE_AUTOUPDATE: "1",
    OPENCODE_DISABLE_MODELS_FETCH: "1",
    OPENCODE_DISABLE_DEFAULT_PLUGINS: "1",
    OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
    // Its own list of all models costs each start as much processor time as all the rest.
    OPENCODE_MODELS_PATH: "../models.json",
    // Otherwise it asks npm for its plugin package at each start, and waits.
    npm_config_offline: "true",
  }),
  files: ({ url, traceId }) => ({
    "models.json": OPENCODE_MODELS,
    ".config/opencode/opencode.json": {
      provider: {
        anthropic: {
          options: { baseURL: `${url}/v1`, ...(traceId === null ? {} : { headers: { "X-Trace-Id": "{env:RUN_ID}" } }) },
        },
      },
      small_model: `anthropic/${MODEL}`,
      autoupdate: false,
      share: "disabled",
    },
  }),
};

const PI: Agent = {
  name: "pi",
  isScript: true,
  tool: { name: "bash" },
  args: (prompt) => ["-p", "--provider", "anthropic", "--model", MODEL, prompt],
  env: ({ token, traceId }) => ({
    ANTHROPIC_API_KEY: token,
    ...(traceId === null ? {} : { RUN_ID: traceId }),
    PI_OFFLINE: "1",
    PI_TELEMETRY: "0",
    PI_SKIP_VERSION_CHECK: "1",
  }),
  files: ({ url, traceId }) => ({
    ".pi/agent/models.json": {
      providers: { anthropic: { baseUrl: url, ...(traceId === null ? {} : { headers: { "X-Trace-Id": "$RUN_ID" } }) } },
    },
  }),
};

const QWEN_CODE: Agent = {
  name: "qwen-code",
  isScript: true,
  tool: { name: "run_shell_command", input: { is_background: false } },
  args: (
    prompt,
    { traceId },
  ) => ["--yolo", "--auth-type", "anthropic", "--model", MODEL, ...(traceId === null ? [] : ["--session-id", traceId]), prompt],
  env: ({ token }) => ({
    ANTHROPIC_API_KEY: token,
    QWEN_USAGE_STATISTICS_ENABLED: "false",
    QWEN_TELEMETRY_ENABLED: "false",
  }),
  files: ({ url, traceId }) => ({
    ".qwen/settings.json": {
      general: { enableAutoUpdate: false },
      // Qwen Code asks for memories after an answer, in calls that may not end before it does.
      memory: { enableManagedAutoMemory: false },
      outboundCorrelation: { allowDynamicHeaderValues: true },
      security: { auth: { selectedType: "anthropic" } },
      modelProviders: {
        anthropic: [{
          id: MODEL,
          name: MODEL,
          envKey: "ANTHROPIC_API_KEY",
          baseUrl: url,
          // Qwen Code puts its own session id there.
          ...(traceId === null ? {} : { generationConfig: { customHeaders: { "X-Trace-Id": "${session_id}" } } }),
        }],
      },
    },
  }),
};

export const AGENTS: readonly Agent[] = [CLAUDE_CODE, OPENCODE, PI, QWEN_CODE];

/** What a run left: its output, and what it wrote into its home. */
export interface AgentRun extends Ended {
  readonly output: string;
  readonly files: readonly { readonly path: string; readonly bytes: Uint8Array }[];
}

/**
 * Runs the agent once, with that prompt, in an empty home that is removed afterwards. The signal
 * interrupts it, as a user does with Ctrl+C.
 */
export async function runAgent(agent: RunnableAgent, { to, prompt, env, signal }: {
  readonly to: Pointing;
  readonly prompt: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}): Promise<AgentRun> {
  const program = await agentProgram(agent.name);
  const [first, before] = agent.isScript ? [await nodeProgram(), [program]] : [program, []];
  const home = await Deno.makeTempDir({ prefix: "llmproxy-agent-" });
  try {
    await Deno.mkdir(`${home}/project`);
    for (const [path, content] of Object.entries(agent.files(to))) {
      await Deno.mkdir(`${home}/${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
      await Deno.writeTextFile(`${home}/${path}`, JSON.stringify(content));
    }
    const ended = await runProgram(first, [...before, ...agent.args(prompt, to)], {
      cwd: `${home}/project`,
      env: { PATH: Deno.env.get("PATH") ?? "", HOME: home, TMPDIR: home, NO_COLOR: "1", ...env, ...agent.env(to) },
      deadlineMs: RUN_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    return { ...ended, output: ended.stdout + ended.stderr, files: await filesOf(home) };
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

async function filesOf(folder: string): Promise<{ readonly path: string; readonly bytes: Uint8Array }[]> {
  const found = [];
  for await (const { name, isFile, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await filesOf(path));
    else if (isFile) found.push({ path, bytes: await Deno.readFile(path) });
  }
  return found;
}
