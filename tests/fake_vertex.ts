/** Anthropic's models on Google's Vertex AI as a script for the fake upstream. */
import { json, type Script, type SeenCall } from "./fake_answers.ts";
import { CLAUDE_USAGE, claudeEvents, claudeMessage } from "./fake_claude.ts";
import { geminiError } from "./fake_gemini.ts";
import { sse } from "./fake_messages.ts";
import { type ModelScript, streamedAs, UPSTREAM_ERROR } from "./scripted_turns.ts";

const ROUTE = /^\/v1\/projects\/[^/]+\/locations\/[^/]+\/publishers\/anthropic\/models\/([^/:?]+):(rawPredict|streamRawPredict)$/;

const ERROR = sse("error", { type: "error", error: { type: "overloaded_error", message: UPSTREAM_ERROR } });

export function vertexModel(script: ModelScript): (call: SeenCall) => Script {
  return (call) => {
    const instead = script.instead?.(call) ?? null;
    if (instead !== null) return instead;
    const [, model] = ROUTE.exec(call.target) ?? [];
    if (call.method !== "POST" || model === undefined) return geminiError(404, `Not found: ${call.target}`);
    if (model === "count-tokens") return json({ input_tokens: CLAUDE_USAGE.input_tokens });
    const claude = { turn: script.turn(call), call, model: model.replace("@", "-"), idPrefix: "msg_vrtx_" };
    // The body says whether the answer is a stream, whatever the method is called.
    if ((call.json() as { readonly stream?: boolean }).stream !== true) return json(claudeMessage(claude));
    const events = claudeEvents(claude).map((event) => sse(event.type, event));
    return {
      headers: { "content-type": "text/event-stream; charset=utf-8", "vary": "origin" },
      framing: "chunked",
      ...streamedAs(events, { middle: script.middle?.(call) ?? null, error: ERROR }),
    };
  };
}
