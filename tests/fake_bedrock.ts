/** Anthropic's models on Amazon Bedrock (InvokeModel) as a script for the fake upstream. */
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { type Answer, json, type Script, type SeenCall } from "./fake_answers.ts";
import { CLAUDE_USAGE, claudeEvents, claudeMessage } from "./fake_claude.ts";
import { type ModelScript, streamedAs, UPSTREAM_ERROR } from "./scripted_turns.ts";

const ROUTE = /^\/model\/([^/?]+)\/(invoke|invoke-with-response-stream|count-tokens)$/;

export function bedrockModel(script: ModelScript): (call: SeenCall) => Script {
  return (call) => {
    const instead = script.instead?.(call) ?? null;
    if (instead !== null) return instead;
    if (call.method === "GET" && call.target.startsWith("/inference-profiles")) {
      return named(call, json({ inferenceProfileSummaries: [] }));
    }
    const [, id, action] = ROUTE.exec(call.target) ?? [];
    if (call.method !== "POST" || id === undefined) {
      return bedrockError(404, { message: "no such operation", type: "UnknownOperationException" });
    }
    if (action === "count-tokens") return named(call, json({ inputTokens: CLAUDE_USAGE.input_tokens }));
    const claude = { turn: script.turn(call), call, model: servedName(decodeURIComponent(id)), idPrefix: "msg_bdrk_" };
    if (action === "invoke") return named(call, json(claudeMessage(claude)));
    const frames = claudeEvents(claude).map((event) =>
      chunkFrame(event.type === "message_stop" ? { ...event, ...METRICS } : event)
    );
    return named(call, {
      headers: { "content-type": "application/vnd.amazon.eventstream", "x-amzn-bedrock-content-type": "application/json" },
      framing: "chunked",
      ...streamedAs(frames, {
        middle: script.middle?.(call) ?? null,
        error: exceptionFrame("modelStreamErrorException", UPSTREAM_ERROR),
      }),
    });
  };
}

/** Only the last event has them. They split no cache writes by their lifetime. */
const METRICS = {
  "amazon-bedrock-invocationMetrics": {
    inputTokenCount: CLAUDE_USAGE.input_tokens,
    outputTokenCount: CLAUDE_USAGE.output_tokens,
    invocationLatency: 812,
    firstByteLatency: 204,
    cacheReadInputTokenCount: CLAUDE_USAGE.cache_read_input_tokens,
    cacheWriteInputTokenCount: CLAUDE_USAGE.cache_creation_input_tokens,
  },
};

export function bedrockError(status: number, { message, type }: { readonly message: string; readonly type: string }): Answer {
  return {
    status,
    headers: {
      "content-type": "application/json",
      "x-amzn-errortype": `${type}:http://internal.amazon.com/coral/com.amazon.bedrock/`,
    },
    body: JSON.stringify({ message }),
  };
}

/** One event of Anthropic's in a frame of Amazon's. */
function chunkFrame(event: unknown): Uint8Array {
  const bytes = Buffer.from(JSON.stringify(event)).toString("base64");
  const headers = { ":event-type": "chunk", ":content-type": "application/json", ":message-type": "event" };
  return frame(headers, JSON.stringify({ bytes, p: "abcdefghijklmnop" }));
}

/** A failure in the middle of a stream. */
function exceptionFrame(type: string, message: string): Uint8Array {
  const headers = { ":exception-type": type, ":content-type": "application/json", ":message-type": "exception" };
  return frame(headers, JSON.stringify({ message }));
}

/**
 * A message of `application/vnd.amazon.eventstream`: lengths, their CRC, headers, payload, and the
 * CRC of all that. Numbers are big-endian.
 */
function frame(headers: Readonly<Record<string, string>>, payload: string): Uint8Array {
  const named = Buffer.concat(
    Object.entries(headers).map(([name, value]) => {
      const [nameBytes, valueBytes] = [Buffer.from(name), Buffer.from(value)];
      // Type 7 is a string.
      return Buffer.concat([Buffer.of(nameBytes.length), nameBytes, Buffer.of(7), uint16(valueBytes.length), valueBytes]);
    }),
  );
  const body = Buffer.from(payload);
  const prelude = Buffer.concat([uint32(16 + named.length + body.length), uint32(named.length)]);
  const checked = Buffer.concat([prelude, uint32(crc32(prelude)), named, body]);
  return new Uint8Array(Buffer.concat([checked, uint32(crc32(checked))]));
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** `us.anthropic.claude-haiku-4-5-20251001-v1:0` answers as `claude-haiku-4-5-20251001`. */
function servedName(id: string): string {
  return /anthropic\.(claude-[a-z0-9-]+?)(-v\d+(:\d+)?)?$/.exec(id)?.[1] ?? "claude-haiku-4-5-20251001";
}

function named(call: SeenCall, answer: Answer): Answer {
  const tier = call.header("x-amzn-bedrock-service-tier") ?? "default";
  const requestId = `5f3e0c1e-0000-4000-8000-${call.requestId.slice(-6).padStart(12, "0")}`;
  return { ...answer, headers: { "x-amzn-requestid": requestId, "x-amzn-bedrock-service-tier": tier, ...answer.headers } };
}
