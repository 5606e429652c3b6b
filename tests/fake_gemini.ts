/**
 * Google's Gemini API as a script for the fake upstream, as the types of `@google/genai` 3.3.0 have
 * it. The model and the kind of answer are in the path.
 */
import { type Answer, json, type Script, type SeenCall } from "./fake_answers.ts";
import { type ModelScript, streamedAs, type Turn, UPSTREAM_ERROR, wordsOf } from "./scripted_turns.ts";

/** What each answer is said to have used in the end. Thoughts are beside the candidates. */
export const GEMINI_USAGE = {
  promptTokenCount: 37_003,
  cachedContentTokenCount: 36_000,
  candidatesTokenCount: 143,
  thoughtsTokenCount: 64,
  totalTokenCount: 37_210,
  promptTokensDetails: [{ modality: "TEXT", tokenCount: 37_003 }],
  cacheTokensDetails: [{ modality: "TEXT", tokenCount: 36_000 }],
  serviceTier: "standard",
};

const ROUTE = /^\/v1(?:beta)?\/models\/([^:/]+):(\w+)(?:\?(.*))?$/;

export function geminiModel(script: ModelScript): (call: SeenCall) => Script {
  return (call) => {
    const instead = script.instead?.(call) ?? null;
    if (instead !== null) return instead;
    const [, model = "", method = "", query = ""] = ROUTE.exec(call.target) ?? [];
    if (call.method !== "POST" || model === "") return geminiError(404, `Not found: ${call.target.split("?")[0]}`);
    if (method === "countTokens") return named(json({ totalTokens: 37_003 }));
    const turn = isRouting(call)
      ? { text: JSON.stringify({ reasoning: "It is short.", model_choice: "flash" }) }
      : script.turn(call);
    const said = { turn, call, model };
    if (method === "generateContent") return named(json(wholeAnswer(said)));
    if (method !== "streamGenerateContent") return geminiError(404, `Method not found: ${method}`);
    const chunks = chunksOf(said);
    const isSse = new URLSearchParams(query).get("alt") === "sse";
    const lineOf = (chunk: unknown) => `data: ${JSON.stringify(chunk)}\r\n\r\n`;
    const pieces = isSse ? chunks.map(lineOf) : asArray(chunks);
    const error = { error: { code: 503, message: UPSTREAM_ERROR, status: "UNAVAILABLE" } };
    return named({
      headers: { "content-type": isSse ? "text/event-stream" : "application/json; charset=UTF-8" },
      framing: "chunked",
      ...streamedAs(pieces, {
        middle: script.middle?.(call) ?? null,
        error: isSse ? lineOf(error) : `,\r\n${JSON.stringify(error)}\n]`,
      }),
    });
  };
}

/** An error of Google's, with its details, if there are any. */
export function geminiError(status: number, message: string, details: readonly unknown[] = []): Answer {
  const names: Readonly<Record<number, string>> = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
  };
  const error = { code: status, message, status: names[status] ?? "INTERNAL", ...(details.length === 0 ? {} : { details }) };
  return named({
    status,
    headers: { "content-type": "application/json; charset=UTF-8" },
    body: JSON.stringify({ error }, null, 2),
  });
}

function named(answer: Answer): Answer {
  const headers = {
    "server": "scaffolding on HTTPServer2",
    "vary": "Origin, X-Origin, Referer",
    "x-content-type-options": "nosniff",
    "server-timing": "gfet4t7; dur=412",
  };
  return { ...answer, headers: { ...headers, ...answer.headers } };
}

/** Gemini CLI asks a small model first which model is to answer, and wants JSON. */
function isRouting(call: SeenCall): boolean {
  return call.target.includes(":generateContent") && JSON.stringify(call.json()).includes("model_choice");
}

interface Said {
  readonly turn: Turn;
  readonly call: SeenCall;
  readonly model: string;
}

function wholeAnswer({ turn, call, model }: Said) {
  const parts = "tool" in turn ? [functionCall(turn, call)] : [{ text: turn.text }];
  const candidates = [{ content: { parts, role: "model" }, finishReason: "STOP", index: 0 }];
  return { candidates, usageMetadata: GEMINI_USAGE, modelVersion: model, responseId: responseIdOf(call) };
}

/** Usage grows from chunk to chunk. The first ones leave out what they do not know yet. */
function chunksOf({ turn, call, model }: Said): unknown[] {
  const texts = "tool" in turn ? [] : wordsOf(turn.text);
  const parts: readonly Readonly<Record<string, unknown>>[] = "tool" in turn
    ? [functionCall(turn, call)]
    : texts.map((text) => ({ text }));
  const { candidatesTokenCount: _, totalTokenCount: __, ...atStart } = GEMINI_USAGE;
  return parts.map((part, n) => {
    const isLast = n === parts.length - 1;
    const partial = { ...atStart, ...(n === 0 ? {} : { candidatesTokenCount: n }), totalTokenCount: 37_067 + n };
    return {
      candidates: [{ content: { parts: [part], role: "model" }, ...(isLast ? { finishReason: "STOP" } : {}), index: 0 }],
      usageMetadata: isLast ? GEMINI_USAGE : partial,
      modelVersion: model,
      responseId: responseIdOf(call),
    };
  });
}

function functionCall(turn: Extract<Turn, { tool: string }>, call: SeenCall) {
  return { functionCall: { name: turn.tool, args: turn.input, id: `fc-${call.messageId}` }, thoughtSignature: "EiYKJGZha2U=" };
}

function responseIdOf(call: SeenCall): string {
  return `resp-${call.messageId}`;
}

/** Without `alt=sse` a stream is one JSON array, an element at a time. */
function asArray(chunks: readonly unknown[]): string[] {
  return chunks.map((chunk, n) =>
    `${n === 0 ? "[" : ",\r\n"}${JSON.stringify(chunk, null, 2)}${n === chunks.length - 1 ? "\n]" : ""}`
  );
}
