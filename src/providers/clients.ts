import type { Client } from "../domain/client.ts";
import { parsedRecord } from "./untrusted_json.ts";
import { toldByCodex } from "./codex.ts";

/** The agents that are told apart; a new one is one row. The first one's session counts first. */
export const CLIENTS: readonly Client[] = [
  {
    name: "claude-code",
    userAgent: /^claude-(cli|code)\//,
    marks: [
      { header: "x-claude-code-session-id" },
      { header: "anthropic-beta", value: /(^|,)\s*claude-code-/ },
      { body: "names_user" },
    ],
    sessions: ["x-claude-code-session-id"],
    sessionInUserId,
    agents: {
      agentId: "x-claude-code-agent-id",
      parentAgentId: "x-claude-code-parent-agent-id",
      agentType: "x-claude-code-agent-type",
      requestClass: "x-claude-code-request-class",
      promptId: "x-claude-code-prompt-id",
    },
  },
  // It calls itself Claude Code to every host but Anthropic's, without Claude Code's marks.
  { name: "qwen-code", userAgent: /^(claude-cli|QwenCode)\//, marks: [{ body: "was_read" }], stopStatus: 403 },
  {
    name: "opencode",
    userAgent: /^opencode\//,
    sessions: ["x-opencode-session", "x-session-affinity", "x-session-id"],
    parent: "x-parent-session-id",
    stopStatus: 403,
    readsText: true,
  },
  { name: "codex", userAgent: /^codex/i, sessions: ["session-id", "session_id", "thread-id"], told: toldByCodex },
  { name: "gemini-cli", userAgent: /^GeminiCLI\b/ },
  { name: "mux", userAgent: null, sessions: ["x-mux-workspace-id"] },
  {
    name: "copilot-cli",
    userAgent: /^Anthropic\/JS /,
    marks: [{ header: "x-initiator" }, { header: "x-interaction-type" }],
    sessions: ["x-client-session-id"],
    // On the first call of a sub-agent only.
    subAgent: { header: "x-interaction-type", value: /^conversation-subagent$/ },
  },
  {
    name: "kilo",
    userAgent: /^kilo\//,
    sessions: ["x-session-affinity", "x-session-id", "x-kilocode-taskid"],
    parent: "x-parent-session-id",
    stopStatus: 403,
    readsText: true,
  },
  { name: "coder", userAgent: null, sessions: ["x-coder-chat-id"] },
  { name: "pi", userAgent: /^pi\//, sessions: ["x-session-affinity"], stopStatus: 403 },
  { name: "droid", userAgent: /^factory-cli\//, stopStatus: 403 },
  {
    name: "continue",
    userAgent: /^node-fetch(\/|$)/,
    marks: [{ header: "anthropic-beta", value: /(^|,)\s*prompt-caching-2024-07-31/ }],
  },
  // Cline says no more than this, so it cannot be told from other programs on the same library.
  { name: "ai-sdk", userAgent: /^ai-sdk\//, isLibrary: true, stopStatus: 403 },
  // Those for Bedrock and Vertex AI put the cloud behind the name.
  { name: "anthropic-sdk-js", userAgent: /^Anthropic\w*\/JS /, isLibrary: true },
  { name: "anthropic-sdk-python", userAgent: /^(Async)?Anthropic\w*\/Python /, isLibrary: true },
  { name: "openai-sdk-js", userAgent: /^(Azure)?OpenAI\/JS /, isLibrary: true },
  { name: "openai-sdk-python", userAgent: /^(Async)?(Azure)?OpenAI\/Python /, isLibrary: true },
];

/** Claude Code to 2.1.77 ends `metadata.user_id` so; later ones write JSON with a `session_id`. */
const USER_ID_SESSION = /_session_([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$/;

function sessionInUserId(userId: string): string | null {
  const plain = USER_ID_SESSION.exec(userId)?.[1];
  if (plain !== undefined) return plain;
  const session = userId.startsWith("{") ? parsedRecord(userId)?.session_id : null;
  return typeof session === "string" && session !== "" ? session : null;
}
