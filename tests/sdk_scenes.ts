/** Each SDK with its fake: what it can do, and where. */
import type { SdkName, Task } from "./client_sdks.ts";
import type { Script, SeenCall } from "./fake_answers.ts";
import { bedrockModel } from "./fake_bedrock.ts";
import { CLAUDE_USAGE } from "./fake_claude.ts";
import { GEMINI_USAGE, geminiModel } from "./fake_gemini.ts";
import { openaiModel } from "./fake_openai.ts";
import { vertexModel } from "./fake_vertex.ts";
import { FINAL_ANSWER, type ModelScript, TOOL_OUTPUT, type Turn } from "./scripted_turns.ts";

export interface SdkScene {
  readonly fake: (script: ModelScript) => (call: SeenCall) => Script;
  /** Behind the host, in the SDK's base URL. */
  readonly path: string;
  readonly model: string;
  /** Besides `abort`. */
  readonly actions: readonly Task["action"][];
  /** What counting tokens shows. */
  readonly counted?: number;
}

const RESPONSES: SdkScene = {
  fake: openaiModel,
  path: "/v1",
  model: "gpt-5.5",
  actions: ["answer", "stream", "tool", "background"],
};

const CHAT: SdkScene = { ...RESPONSES, actions: ["answer", "stream", "stream-uncounted", "tool"] };

export const SDK_SCENES: Readonly<Record<SdkName, SdkScene>> = {
  "openai-7-responses": RESPONSES,
  "openai-7-chat": CHAT,
  "openai-6-responses": RESPONSES,
  "openai-6-chat": CHAT,
  "genai": {
    fake: geminiModel,
    path: "",
    model: "gemini-3.8-flash",
    actions: ["answer", "stream", "tool", "count"],
    counted: GEMINI_USAGE.promptTokenCount,
  },
  // It counts tokens at Anthropic's own path, which Bedrock does not have.
  "bedrock": {
    fake: bedrockModel,
    path: "",
    model: "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    actions: ["answer", "stream", "tool"],
  },
  "vertex": {
    fake: vertexModel,
    path: "/v1",
    model: "claude-haiku-4-5@20251001",
    actions: ["answer", "stream", "tool", "count"],
    counted: CLAUDE_USAGE.input_tokens,
  },
};

/** Calls the drivers' tool if it is offered, and then answers. */
export function sayingAWord(call: SeenCall): Turn {
  const asked = JSON.stringify(call.json());
  const isFirst = asked.includes('"say"') && !asked.includes(TOOL_OUTPUT);
  return isFirst ? { tool: "say", input: { word: TOOL_OUTPUT } } : { text: FINAL_ANSWER };
}
