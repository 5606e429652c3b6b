import assert from "node:assert/strict";
import { CLIENTS as clients } from "../../tests/anthropic.ts";
import { agentNames, clientOf } from "./clients.ts";

const HEX = "a".repeat(64);

/** What each agent was seen to send, and its name. */
const SEEN: readonly (readonly [name: string, headers: Readonly<Record<string, string>>, userId?: string | null])[] = [
  ["claude-code", { "user-agent": "claude-cli/2.1.332 (external, sdk-cli)", "x-claude-code-session-id": "1" }],
  ["claude-code", { "user-agent": "claude-cli/2.1.332 (external, sdk-ts, agent-sdk/0.3.332)", "x-claude-code-session-id": "1" }],
  ["claude-code", { "user-agent": "claude-cli/1.0.50 (external, cli)" }, HEX],
  ["claude-code", { "user-agent": "claude-cli/2.1.78", "anthropic-beta": "x-1, claude-code-20250219,y-2" }],
  ["qwen-code", {
    "user-agent": "claude-cli/0.24.4 (external, cli)",
    "x-app": "cli",
    "anthropic-beta": "interleaved-thinking-2025-05-14",
  }],
  ["opencode", { "user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14", "x-session-id": "ses_1" }],
  ["kilo", { "user-agent": "kilo/latest/7.7.9/cli ai-sdk/provider-utils/4.0.27 runtime/bun/1.3.14", "x-session-id": "ses_1" }],
  ["pi", { "user-agent": "pi/1.6.0 (linux; node/v24.21.0; x64)" }],
  // pi 0.73.1, and Cline: no more than the name of the library.
  ["anthropic-sdk-js", { "user-agent": "Anthropic/JS 0.91.1" }],
  ["ai-sdk", { "user-agent": "ai-sdk/anthropic/4.0.42 ai-sdk/provider-utils/5.0.9 runtime/bun/1.3.14" }],
  ["copilot-cli", { "user-agent": "Anthropic/JS 0.94.0", "x-initiator": "agent" }],
  ["copilot-cli", { "user-agent": "Anthropic/JS 0.94.0", "x-interaction-type": "conversation-user" }],
  ["continue", { "user-agent": "node-fetch", "anthropic-beta": "prompt-caching-2024-07-31" }],
  ["node-fetch", { "user-agent": "node-fetch" }],
  ["droid", { "user-agent": "factory-cli/0.225.2" }],
  ["codex", { "user-agent": "codex_exec/0.171.0 (Debian 12.0.0; x86_64) dumb (codex_exec; 0.171.0)" }],
  ["anthropic-sdk-python", { "user-agent": "Anthropic/Python 0.80.0" }],
  ["gemini-cli", { "user-agent": "GeminiCLI/0.61.0 (linux; x64)" }],
  ["gemini-cli", { "user-agent": "GeminiCLI-tui/0.61.0/gemini-3.8-flash (linux; x64; terminal)" }],
  ["anthropic-sdk-js", { "user-agent": "AnthropicBedrock/JS 1.14.0" }],
  ["anthropic-sdk-js", { "user-agent": "AnthropicVertex/JS 1.14.0" }],
  ["openai-sdk-js", { "user-agent": "OpenAI/JS 7.59.0" }],
  ["google-genai-sdk", { "user-agent": "google-genai-sdk/3.3.0 gl-node/v24.21.0" }],
];

Deno.test("clientOf() tells agents apart by user agent and marks, and calls others by their product", () => {
  for (const [name, headers, userId] of SEEN) {
    assert.equal(clientOf({ headers: new Headers(headers), userId: userId ?? null }, clients), name, JSON.stringify(headers));
  }
  assert.equal(clientOf({ headers: new Headers(), userId: null }, clients), null);
});

Deno.test("clientOf() does not say who a claude-cli without marks is while its body has not been read", () => {
  const headers = new Headers({ "user-agent": "claude-cli/0.24.4 (external, cli)" });
  assert.equal(clientOf({ headers, userId: undefined }, clients), "claude-cli");
  headers.set("x-claude-code-session-id", "1");
  assert.equal(clientOf({ headers, userId: undefined }, clients), "claude-code");
});

Deno.test("agentNames() takes Copilot's mark for a sub-agent's class, and no other client's", () => {
  const mark = { "x-interaction-type": "conversation-subagent" };
  const classOf = (headers: Record<string, string>) =>
    agentNames({ headers: new Headers(headers), userId: null }, clients).requestClass;
  assert.equal(classOf({ ...mark, "user-agent": "Anthropic/JS 0.94.0" }), "subagent");
  assert.equal(classOf({ "x-interaction-type": "conversation-user", "user-agent": "Anthropic/JS 0.94.0" }), null);
  assert.equal(classOf({ ...mark, "user-agent": "pi/1.6.0" }), null);
  assert.equal(classOf({ "x-claude-code-request-class": "workflow" }), "workflow");
});
