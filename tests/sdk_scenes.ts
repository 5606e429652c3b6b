/** Each SDK with its fake: what it can do, and where. */
import type { SdkName, Task } from "./client_sdks.ts";
import type { Answer, Script, SeenCall } from "./fake_answers.ts";
import { bedrockError, bedrockModel } from "./fake_bedrock.ts";
import { CLAUDE_USAGE } from "./fake_claude.ts";
import { GEMINI_USAGE, geminiError, geminiModel } from "./fake_gemini.ts";
import { openaiError, openaiModel } from "./fake_openai.ts";
import { vertexModel } from "./fake_vertex.ts";
import { FINAL_ANSWER, type ModelScript, TOOL_OUTPUT, type Turn, UPSTREAM_ERROR } from "./scripted_turns.ts";

export interface SdkScene {
  readonly fake: (script: ModelScript) => (call: SeenCall) => Script;
  /** The upstream's own refusal with that status. */
  readonly refuses: (status: number) => Answer;
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
  refuses: (status) => openaiError(status, { message: UPSTREAM_ERROR, code: null }),
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
    refuses: (status) => geminiError(status, UPSTREAM_ERROR),
    path: "",
    model: "gemini-3.8-flash",
    actions: ["answer", "stream", "tool", "count"],
    counted: GEMINI_USAGE.promptTokenCount,
  },
  // It counts tokens at Anthropic's own path, which Bedrock does not have.
  "bedrock": {
    fake: bedrockModel,
    refuses: (status) => bedrockError(status, { message: UPSTREAM_ERROR, type: "ValidationException" }),
    path: "",
    model: "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    actions: ["answer", "stream", "tool"],
  },
  "vertex": {
    fake: vertexModel,
    refuses: (status) => geminiError(status, UPSTREAM_ERROR),
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
