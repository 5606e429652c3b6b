/**
 * A model that runs one shell command through the agent's own tool, and then says that it is done.
 */
import { eventStream, json, type Script, type SeenCall } from "../fake_answers.ts";
import { type FakeUsage, sse } from "../fake_messages.ts";

/** What the model says in the end, and what the agent must show. */
export const FINAL_ANSWER = "The scripted answer is forty-two.";
/** What the tool prints, so that the next request shows that it ran. */
export const TOOL_OUTPUT = "the-tool-really-ran";

/** The agent's shell tool, and what it wants besides the command. */
export interface ShellTool {
  readonly name: string;
  readonly input?: Readonly<Record<string, unknown>>;
}

/** What each answer is said to have used. No count is another's, and every price counts. */
export const SCRIPTED_USAGE: FakeUsage = {
  input_tokens: 1_003,
  output_tokens: 207,
  cache_creation_input_tokens: 4_096,
  cache_read_input_tokens: 36_000,
  cache_creation: { ephemeral_5m_input_tokens: 3_072, ephemeral_1h_input_tokens: 1_024 },
  service_tier: "standard",
};

interface Asked {
  readonly model: string;
  readonly stream?: boolean;
  readonly tools?: readonly { readonly name: string }[];
  readonly messages: readonly { readonly role: string; readonly content: unknown }[];
}

export function scriptedModel(tool: ShellTool): (call: SeenCall) => Script {
  return (call) => {
    if (call.method !== "POST" || !/^\/v1\/messages(\?|$)/.test(call.target)) return "default";
    const asked = call.json() as Asked;
    const hasTool = asked.tools?.some(({ name }) => name === tool.name) === true;
    const isFirst = hasTool && !JSON.stringify(asked.messages).includes('"tool_result"');
    const block = isFirst
      ? {
        type: "tool_use",
        id: `toolu_${call.messageId}`,
        name: tool.name,
        input: { command: `echo ${TOOL_OUTPUT}`, ...tool.input },
      }
      : { type: "text", text: FINAL_ANSWER };
    const message = { id: call.messageId, type: "message", role: "assistant", model: asked.model, stop_sequence: null };
    const stop_reason = isFirst ? "tool_use" : "end_turn";
    if (asked.stream !== true) return json({ ...message, content: [block], stop_reason, usage: SCRIPTED_USAGE });
    return eventStream(eventsOf({ message, block, stop_reason }));
  };
}

function eventsOf({ message, block, stop_reason }: {
  readonly message: Readonly<Record<string, unknown>>;
  readonly block: Readonly<Record<string, unknown>>;
  readonly stop_reason: string;
}): string[] {
  const { output_tokens, ...atStart } = SCRIPTED_USAGE;
  const usage = { ...atStart, output_tokens: 1 };
  const isText = block.type === "text";
  const empty = isText ? { ...block, text: "" } : { ...block, input: {} };
  const delta = isText
    ? { type: "text_delta", text: block.text }
    : { type: "input_json_delta", partial_json: JSON.stringify(block.input) };
  return [
    sse("message_start", { type: "message_start", message: { ...message, content: [], stop_reason: null, usage } }),
    sse("content_block_start", { type: "content_block_start", index: 0, content_block: empty }),
    sse("content_block_delta", { type: "content_block_delta", index: 0, delta }),
    sse("content_block_stop", { type: "content_block_stop", index: 0 }),
    sse("message_delta", {
      type: "message_delta",
      delta: { stop_reason, stop_sequence: null },
      usage: { ...atStart, output_tokens },
    }),
    sse("message_stop", { type: "message_stop" }),
  ];
}
