import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Frame } from "../../domain/provider.ts";
import { EMPTY_READING } from "../../domain/reading.ts";
import { contentOf, partOf } from "./frames.ts";
import { invoke } from "./invoke.ts";

const CHUNK = new Map([[":message-type", "event"], [":event-type", "chunk"], [":content-type", "application/json"]]);
const PIECES = ["a", "word ", "\n", '"', "\\", "é", "€", "😀", "\ufeff", "\u0001", "{", '"}', "delta"];

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return Math.floor((state >>> 0) / 2 ** 32 * below);
  };
}

function frameOf(data: string, { headers = CHUNK, padding = "abc" } = {}): Frame {
  const bytes = Buffer.from(data).toString("base64");
  return { headers, payload: Buffer.from(JSON.stringify({ bytes, p: padding })).toString("latin1") };
}

function deltaOf(text: string, [type, key] = ["text_delta", "text"]): string {
  return JSON.stringify({ type: "content_block_delta", index: 0, delta: { type, [key!]: text } });
}

/** As the shortcut must read it: its event alone, folded. */
function folded(frame: Frame) {
  const part = partOf(frame);
  return part === null ? EMPTY_READING : invoke.answer.parseStreamEvent(EMPTY_READING, part);
}

Deno.test("contentOf() adds what the fold adds, or leaves the message to it, in 20,000 seeded messages", () => {
  const below = seeded(7);
  let taken = 0;
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: below(6) }, () => PIECES[below(PIECES.length)]!).join("");
    const kinds: readonly [string, string][] = [["text_delta", "text"], ["thinking_delta", "thinking"], [
      "input_json_delta",
      "partial_json",
    ], ["x", "text"]];
    let data = deltaOf(text, kinds[below(kinds.length)]!);
    if (below(8) === 0) data = data.replace("}", "} ").replace('"index":0', '"index": 0');
    if (below(8) === 0) data = data.slice(0, -1) + ',"type":"message_stop"}';
    let frame = frameOf(data, { padding: PIECES[below(PIECES.length)]! });
    if (below(4) === 0) {
      const at = below(frame.payload.length);
      frame = {
        ...frame,
        payload: frame.payload.slice(0, at) + String.fromCharCode(below(256)) + frame.payload.slice(at + below(2)),
      };
    }
    const characters = contentOf(frame);
    if (characters === null) continue;
    taken++;
    assert.deepEqual({ ...EMPTY_READING, hasContent: true, contentCharacters: characters }, folded(frame), frame.payload);
  }
  assert.ok(taken > 1_000, String(taken));
});

Deno.test("contentOf() takes every plain delta, with escapes and beyond ASCII too, and only of chunks", () => {
  for (const text of ["", "a word", 'with "quotes"\n', "naïve café ✓ 😀", "\ufeff"]) {
    assert.equal(contentOf(frameOf(deltaOf(text))), text.length, text);
  }
  assert.equal(contentOf(frameOf(deltaOf("a"), { headers: new Map([...CHUNK, [":event-type", "other"]]) })), null);
  assert.equal(contentOf(frameOf(deltaOf("a"), { headers: new Map([...CHUNK, [":message-type", "exception"]]) })), null);
  assert.equal(contentOf(frameOf(JSON.stringify({ type: "message_stop" }))), null);
});
