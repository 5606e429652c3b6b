/** The agents that speak to another API than Anthropic's own, pointed at a base URL. */
import type { RunnableAgent } from "./agents.ts";

/** Without the API's version, which each agent adds or wants as it does by itself. */
export interface DialectAgent extends RunnableAgent {
  readonly model: string;
  /** Its shell tool, and the tool's input that runs a command. */
  readonly tool: string;
  readonly inputOf: (command: string) => Readonly<Record<string, unknown>>;
}

const CODEX_MODEL = "gpt-5.5";

/** With its built-in provider it tries a WebSocket first. */
export const CODEX: DialectAgent = {
  name: "codex",
  isScript: false,
  model: CODEX_MODEL,
  tool: "exec_command",
  inputOf: (cmd) => ({ cmd }),
  args: (prompt, { url }) => [
    "exec",
    "--skip-git-repo-check",
    "--dangerously-bypass-approvals-and-sandbox",
    "--config",
    `openai_base_url="${url}/v1"`,
    "--config",
    "analytics.enabled=false",
    "--model",
    CODEX_MODEL,
    prompt,
  ],
  env: ({ token }) => ({ CODEX_API_KEY: token }),
  files: () => ({}),
};

const OPENCODE_MODEL = {
  release_date: "2026-04-23",
  attachment: true,
  reasoning: false,
  temperature: true,
  tool_call: true,
  cost: { input: 5, output: 30, cache_read: 0.5 },
  limit: { context: 200_000, output: 64_000 },
};

function opencode(
  { provider, npm, model }: { readonly provider: string; readonly npm: string; readonly model: string },
): DialectAgent {
  const models = { [model]: { id: model, name: model, ...OPENCODE_MODEL } };
  return {
    name: "opencode",
    isScript: false,
    model,
    tool: "bash",
    inputOf: (command) => ({ command, description: "Prints a word" }),
    args: (prompt) => ["run", "--pure", "--model", `${provider}/${model}`, prompt],
    env: ({ token }) => ({
      PROXY_TOKEN: token,
      OPENCODE_DISABLE_AUTOUPDATE: "1",
      OPENCODE_DISABLE_MODELS_FETCH: "1",
      OPENCODE_DISABLE_DEFAULT_PLUGINS: "1",
      OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
      OPENCODE_MODELS_PATH: "../models.json",
      npm_config_offline: "true",
    }),
    files: ({ url }) => ({
      "models.json": { [provider]: { id: provider, name: provider, env: ["PROXY_TOKEN"], npm, models } },
      ".config/opencode/opencode.json": {
        provider: { [provider]: { options: { baseURL: `${url}/v1` } } },
        small_model: `${provider}/${model}`,
        autoupdate: false,
        share: "disabled",
      },
    }),
  };
}

/** Speaks Responses. */
export const OPENCODE_OPENAI = opencode({ provider: "openai", npm: "@ai-sdk/openai", model: "gpt-5.5" });

/** Speaks Chat Completions. */
export const OPENCODE_COMPATIBLE = opencode({ provider: "proxy", npm: "@ai-sdk/openai-compatible", model: "gpt-4.1" });

const GEMINI_MODEL = "gemini-3.8-flash";

export const GEMINI_CLI: DialectAgent = {
  name: "gemini-cli",
  isScript: true,
  model: GEMINI_MODEL,
  tool: "run_shell_command",
  inputOf: (command) => ({ command, description: "Prints a word" }),
  args: (prompt) => ["--prompt", prompt, "--yolo", "--model", GEMINI_MODEL],
  env: ({ url, token }) => ({
    GEMINI_API_KEY: token,
    GOOGLE_GEMINI_BASE_URL: url,
    GEMINI_TELEMETRY_ENABLED: "false",
    GEMINI_CLI_TRUST_WORKSPACE: "true",
    GEMINI_CLI_NO_RELAUNCH: "true",
  }),
  files: () => ({
    ".gemini/settings.json": {
      general: { enableAutoUpdate: false, enableAutoUpdateNotification: false },
      security: { auth: { selectedType: "gemini-api-key" } },
      privacy: { usageStatisticsEnabled: false },
    },
  }),
};

/** What both ways of Claude Code share. */
const CLAUDE_CODE = {
  name: "claude-code",
  isScript: false,
  tool: "Bash",
  inputOf: (command: string) => ({ command, description: "Prints a word" }),
  files: () => ({}),
} as const;

const CLAUDE_CODE_QUIET = {
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  DISABLE_AUTOUPDATER: "1",
  DISABLE_TELEMETRY: "1",
  DISABLE_ERROR_REPORTING: "1",
} as const;

function claudeCodeArgs(prompt: string, model: string): readonly string[] {
  return ["-p", prompt, "--output-format", "json", "--model", model, "--allowedTools", "Bash(echo:*)"];
}

const BEDROCK_MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0";

export const CLAUDE_CODE_BEDROCK: DialectAgent = {
  ...CLAUDE_CODE,
  model: BEDROCK_MODEL,
  args: (prompt) => claudeCodeArgs(prompt, BEDROCK_MODEL),
  env: ({ url, token }) => ({
    ...CLAUDE_CODE_QUIET,
    CLAUDE_CODE_USE_BEDROCK: "1",
    ANTHROPIC_BEDROCK_BASE_URL: url,
    CLAUDE_CODE_SKIP_BEDROCK_AUTH: "1",
    ANTHROPIC_AUTH_TOKEN: token,
    ANTHROPIC_SMALL_FAST_MODEL: BEDROCK_MODEL,
    AWS_REGION: "us-east-1",
  }),
};

const VERTEX_MODEL = "claude-haiku-4-5@20251001";

export const CLAUDE_CODE_VERTEX: DialectAgent = {
  ...CLAUDE_CODE,
  model: VERTEX_MODEL,
  args: (prompt) => claudeCodeArgs(prompt, VERTEX_MODEL),
  env: ({ url, token }) => ({
    ...CLAUDE_CODE_QUIET,
    CLAUDE_CODE_USE_VERTEX: "1",
    ANTHROPIC_VERTEX_BASE_URL: `${url}/v1`,
    CLAUDE_CODE_SKIP_VERTEX_AUTH: "1",
    ANTHROPIC_AUTH_TOKEN: token,
    ANTHROPIC_VERTEX_PROJECT_ID: "project-of-the-client",
    ANTHROPIC_SMALL_FAST_MODEL: VERTEX_MODEL,
    CLOUD_ML_REGION: "global",
  }),
};
