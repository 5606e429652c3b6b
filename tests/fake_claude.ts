/** Anthropic's messages as events and as JSON, for the fakes that sell Claude under other roofs. */
import type { SeenCall } from "./fake_answers.ts";
import type { FakeUsage } from "./fake_messages.ts";
import { type Turn, wordsOf } from "./scripted_turns.ts";

/** What each answer is said to have used. No count is another's, and every price counts. */
export const CLAUDE_USAGE: FakeUsage = {
  input_tokens: 1_003,
  output_tokens: 207,
  cache_creation_input_tokens: 4_096,
  cache_read_input_tokens: 36_000,
  cache_creation: { ephemeral_5m_input_tokens: 3_072, ephemeral_1h_input_tokens: 1_024 },
  service_tier: "standard",
};

export interface Claude {
  readonly turn: Turn;
  readonly call: SeenCall;
  readonly model: string;
  /** `msg_bdrk_` at Amazon, `msg_vrtx_` at Google. */
  readonly idPrefix: string;
}

type Event = Readonly<Record<string, unknown>> & { readonly type: string };

export function claudeMessage({ turn, call, model, idPrefix }: Claude): Readonly<Record<string, unknown>> {
  const isTool = "tool" in turn;
  return {
    id: `${idPrefix}${call.messageId}`,
    type: "message",
    role: "assistant",
    model,
    content: [
      isTool
        ? { type: "tool_use", id: `toolu_${call.messageId}`, name: turn.tool, input: turn.input }
        : { type: "text", text: turn.text },
    ],
    stop_reason: isTool ? "tool_use" : "end_turn",
    stop_sequence: null,
    usage: CLAUDE_USAGE,
  };
}

export function claudeEvents(claude: Claude): Event[] {
  const { turn } = claude;
  const { content, stop_reason, usage: _, ...message } = claudeMessage(claude);
  const block = (content as readonly Readonly<Record<string, unknown>>[])[0]!;
  const { output_tokens, ...atStart } = CLAUDE_USAGE;
  const empty = "tool" in turn ? { ...block, input: {} } : { ...block, text: "" };
  const deltas = "tool" in turn
    ? [{ type: "input_json_delta", partial_json: JSON.stringify(turn.input) }]
    : wordsOf(turn.text).map((text) => ({ type: "text_delta", text }));
  return [
    { type: "message_start", message: { ...message, content: [], stop_reason: null, usage: { ...atStart, output_tokens: 1 } } },
    { type: "content_block_start", index: 0, content_block: empty },
    ...deltas.map((delta) => ({ type: "content_block_delta", index: 0, delta })),
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage: { ...atStart, output_tokens } },
    { type: "message_stop" },
  ];
}
