/** Streams of deltas in each dialect, and now and then something that only looks like one. */

type Random = () => number;

/** One event that adds text, as the upstream spells it, and what may stand between such events. */
interface StreamMaker {
  readonly delta: (random: Random, text: string) => string;
  readonly others: readonly string[];
  readonly end: string;
}

/** By the folders of `tests/fixtures`. */
const MAKERS: Readonly<Record<string, StreamMaker>> = {
  anthropic: {
    delta: (random, text) => {
      const key = pick(random, ["text", "thinking", "partial_json", "signature"]);
      const type = key === "partial_json" ? "input_json_delta" : `${key}_delta`;
      return eventOf({ type: "content_block_delta", index: 0, delta: { type, [key]: text } });
    },
    others: [
      eventOf({ type: "ping" }),
      eventOf({ type: "message_delta", delta: {}, usage: { output_tokens: 7 } }),
    ],
    end: eventOf({ type: "message_stop" }),
  },
  openai_responses: {
    delta: (random, text) => {
      const kind = pick(random, ["output_text", "reasoning_summary_text", "function_call_arguments", "refusal", "audio"]);
      const [type, item_id, obfuscation] = [`response.${kind}.delta`, "msg_1", pick(random, ["", "aB9", "k3Jd0aPq"])];
      // As the API has written them since 2026, and as in 2025.
      return random() < 0.5
        ? eventOf({ type, content_index: 0, delta: text, item_id, obfuscation, output_index: 0, sequence_number: 4 })
        : eventOf({
          type,
          sequence_number: 4,
          item_id,
          output_index: 0,
          content_index: 0,
          delta: text,
          logprobs: [],
          obfuscation,
        });
    },
    others: [
      eventOf({ type: "response.in_progress", response: { id: "resp_1", model: "m", usage: null } }),
      eventOf({ type: "response.output_text.done", text: "all of it" }),
    ],
    end: eventOf({ type: "response.completed", response: { id: "resp_1", usage: { input_tokens: 9, output_tokens: 7 } } }),
  },
  openai_chat: {
    delta: (random, text) =>
      chunkOf(pick(random, ["1", "1", "1", "2"]), [{ index: 0, delta: { content: text }, finish_reason: null }]),
    others: [
      chunkOf("1", [{ index: 0, delta: {}, finish_reason: "stop" }]),
      chunkOf("1", []),
      'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":7}}\n\n',
    ],
    end: "data: [DONE]\n\n",
  },
};

const WORDS = [
  ...["", "a", "é", "👋", "\n", '"', "\\", "\t", "}}\n\n", "\u2028", "\ud83d", "word ".repeat(20)],
  ...["message_stop", "response.completed", "[DONE]"],
];

export function streamText(folder: string, random: Random): string {
  const maker = MAKERS[folder];
  if (maker === undefined) throw new Error(`Cannot make up a stream of ${folder}: there is no maker`);
  const text = () => Array.from({ length: Math.floor(random() * 6) }, () => pick(random, WORDS)).join("");
  const one = () => {
    const event = maker.delta(random, text());
    if (random() < 0.7) return event;
    return pick(random, [
      ...maker.others,
      event.replaceAll("\n", "\r\n"),
      event.replace(/^event: .*\n/, ""),
      event.replace(/^event: .*\n/, "event: error\n"),
      event.replace("data: ", "data:"),
      event.replace("}\n\n", " }\n\n"),
      event.replace("}\n\n", ',"type":"ping"}\n\n'),
      event.replace("}\n\n", ',"model":"other"}\n\n'),
      event.replace("\n\n", "\n"),
      event.replace("\n\n", "\n\n\n"),
      `: comment ${text()}\n\n`,
      random() < 0.1 ? maker.end : "\n",
    ]);
  };
  return `data: {}\n\n${Array.from({ length: 1 + Math.floor(random() * 12) }, one).join("")}`;
}

export function eventOf(data: { readonly type: string; readonly [key: string]: unknown }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

function chunkOf(id: string, choices: readonly object[]): string {
  const head = { id, object: "chat.completion.chunk", created: 1, model: "m", service_tier: "default" };
  return `data: ${JSON.stringify({ ...head, choices, obfuscation: "aB9" })}\n\n`;
}

function pick<T>(random: Random, of: readonly T[]): T {
  return of[Math.floor(random() * of.length)]!;
}
