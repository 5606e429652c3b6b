import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { messageBytes } from "../../../tests/event_stream_bytes.ts";
import type { Frame, FrameDeltas } from "../../domain/frame.ts";
import { EMPTY_READING } from "../../domain/reading.ts";
import { frameDeltas } from "./deltas.ts";
import { partOf } from "./frames.ts";
import { invoke } from "./invoke.ts";

const CHUNK = { ":event-type": "chunk", ":content-type": "application/json", ":message-type": "event" };
const PIECES = ["a", "word ", "\n", '"', "\\", "é", "€", "😀", "\ufeff", "\u0001", "{", '"}', "delta"];
const KINDS: readonly (readonly [type: string, key: string])[] = [
  ["text_delta", "text"],
  ["thinking_delta", "thinking"],
  ["input_json_delta", "partial_json"],
  ["x", "text"],
];

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return Math.floor((state >>> 0) / 2 ** 32 * below);
  };
}

/** Where a frame is in a chunk that begins and ends with others. */
function placed(payload: Uint8Array, headers: Readonly<Record<string, string>> = CHUNK): Frame {
  const message = messageBytes({ headers, payload });
  const before = 5;
  const bytes = new Uint8Array([...new Uint8Array(before).fill(0x61), ...message, 0x61]);
  const [start, to] = [before + 12, before + message.length - 4];
  return { headers: new Map(Object.entries(headers)), bytes, start, from: to - payload.length, to };
}

function payloadOf(data: string, padding = "abc"): string {
  return JSON.stringify({ bytes: Buffer.from(data).toString("base64"), p: padding });
}

function frameOf(data: string, { headers = CHUNK, padding = "abc" } = {}): Frame {
  return placed(Buffer.from(payloadOf(data, padding)), headers);
}

function deltaOf(text: string, { type = "text_delta", key = "text", index = 0 } = {}): string {
  return JSON.stringify({ type: "content_block_delta", index, delta: { type, [key]: text } });
}

/** As a reader asks behind the head. */
function contentAt({ head, contentBehind }: FrameDeltas, { bytes, start, from, to }: Frame): number | null {
  if (head === null || from - start !== head.headerBytes) return null;
  const behind = start + head.bytes.length;
  const begins = behind <= to && Buffer.from(head.bytes).equals(bytes.subarray(start, behind));
  return begins ? contentBehind(bytes, behind, to) : null;
}

/** As a reader asks. It folds what is not known, and shows it. */
function contentOf(deltas: FrameDeltas, frame: Frame): number | null {
  const characters = contentAt(deltas, frame) ?? deltas.contentOf(frame);
  if (characters === null) deltas.saw(frame, partOf(frame)?.data ?? "");
  return characters;
}

/** As the shortcut must read it: its event alone, folded. */
function folded(frame: Frame) {
  const part = partOf(frame);
  return part === null ? EMPTY_READING : invoke.answer.parseStreamEvent(EMPTY_READING, part);
}

Deno.test("frameDeltas() adds what the fold adds, or leaves the frame to it, in 40,000 seeded frames", () => {
  const below = seeded(7);
  const taken = { at: 0, of: 0 };
  let deltas = frameDeltas();
  let block = { type: "text_delta", key: "text", index: 0 };
  for (let round = 0; round < 40_000; round++) {
    if (below(50) === 0) deltas = frameDeltas();
    if (below(5) === 0) {
      const [type, key] = KINDS[below(KINDS.length)]!;
      block = { type, key, index: below(3) === 0 ? below(2_000) : 0 };
    }
    const pieces = below(2) === 0 ? ["a", "word ", "/", "~"] : PIECES;
    let data = deltaOf(Array.from({ length: below(8) }, () => pieces[below(pieces.length)]!).join(""), block);
    if (below(8) === 0) data = data.replace("}", "} ");
    if (below(8) === 0) data = data.replace('"index":', '"index": ');
    if (below(8) === 0) data = data.slice(0, -1) + ',"type":"message_stop"}';
    let payload = Buffer.from(payloadOf(data, ["", "abc", "Z9", ...PIECES][below(3 + PIECES.length)]!));
    if (below(8) === 0) payload = Buffer.from(JSON.stringify({ bytes: JSON.parse(payload.toString()).bytes }));
    if (below(3) === 0) {
      const at = below(payload.length);
      payload = Buffer.concat([payload.subarray(0, at), Buffer.of(below(256)), payload.subarray(at + below(2))]);
    }
    const frame = placed(payload);
    const at = contentAt(deltas, frame);
    const characters = at ?? contentOf(deltas, frame);
    if (characters === null) continue;
    taken[at === null ? "of" : "at"]++;
    assert.deepEqual({ ...EMPTY_READING, hasContent: true, contentCharacters: characters }, folded(frame), payload.toString());
  }
  assert.ok(taken.at > 1_500 && taken.of > 1_500, JSON.stringify(taken));
});

Deno.test("frameDeltas() takes every plain delta behind the first of all kinds and blocks, with escapes and beyond ASCII too", () => {
  const deltas = frameDeltas();
  for (const [type, key] of KINDS.slice(0, 3)) {
    // Each digit moves the content by a byte within its group of base64.
    for (const index of [0, 9, 10, 999, 1_000]) {
      assert.equal(contentOf(deltas, frameOf(deltaOf("the first shows the head", { type, key, index }))), null);
      for (const text of ["", "a", "ab", "abc", "a word", 'with "quotes"\n', "naïve café ✓ 😀", "\ufeff", ""]) {
        const frame = frameOf(deltaOf(text, { type, key, index }));
        assert.equal(contentOf(deltas, frame), text.length, `${type} ${index} ${text}`);
      }
    }
  }
});

Deno.test("frameDeltas().contentBehind() knows a block's deltas without escapes in ASCII by the one before", () => {
  const deltas = frameDeltas();
  const at = (frame: Frame) => contentAt(deltas, frame);
  const first = frameOf(deltaOf("first"));
  assert.deepEqual([contentOf(deltas, first), at(first)], [null, 5]);
  for (const text of ["", "a", "ab", "abc", "abcd", "a word of it", " !#$[]^~"]) {
    for (const padding of ["", "a", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"]) {
      assert.equal(at(frameOf(deltaOf(text), { padding })), text.length, text);
    }
    assert.equal(at(placed(Buffer.from(JSON.stringify({ bytes: btoa(deltaOf(text)) })))), text.length, text);
  }
  for (const other of [deltaOf("é"), deltaOf("\n"), deltaOf("a", { index: 1 }), deltaOf("a", { type: "thinking_delta" })]) {
    assert.equal(at(frameOf(other)), null, other);
  }
  assert.equal(at(frameOf(deltaOf("a"), { headers: { ...CHUNK, ":event-type": "other" } })), null);
  // What is between does not make it forget.
  assert.equal(contentOf(deltas, frameOf(JSON.stringify({ type: "ping" }))), null);
  assert.equal(at(first), 5);
});

Deno.test("frameDeltas() takes only chunks, and only deltas of them", () => {
  const others = [
    frameOf(deltaOf("a"), { headers: { ...CHUNK, ":event-type": "other" } }),
    frameOf(deltaOf("a"), { headers: { ...CHUNK, ":message-type": "exception" } }),
    frameOf(JSON.stringify({ type: "message_stop" })),
    placed(Buffer.from("")),
    placed(Buffer.from('{"bytes":"')),
  ];
  for (const frame of others) {
    const deltas = frameDeltas();
    assert.deepEqual([contentOf(deltas, frame), deltas.head, contentOf(deltas, frame)], [null, null, null]);
  }
});

Deno.test("frameDeltas() takes a delta behind headers of half a megabyte, which would not fit on the stack", () => {
  const headers = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`h${n}`, "v".repeat(30_000)]));
  const frame = frameOf(deltaOf("abc"), { headers: { ...CHUNK, ...headers } });
  const deltas = frameDeltas();
  assert.deepEqual([contentOf(deltas, frame), contentOf(deltas, frame)], [null, 3]);
});

Deno.test("frameDeltas() knows no frame whose headers end elsewhere than those of the one before", () => {
  const deltas = frameDeltas();
  const good = frameOf(deltaOf("abc"));
  assert.deepEqual([contentOf(deltas, good), contentOf(deltas, good)], [null, 3]);
  for (const from of [good.from - 22, good.from + 5]) {
    assert.equal(contentOf(deltas, { ...good, from, headers: new Map() }), null);
  }
});

Deno.test("frameDeltas().contentBehind() looks at nothing behind the frame", () => {
  const deltas = frameDeltas();
  const good = frameOf(deltaOf("abc"));
  assert.equal(contentOf(deltas, good), null);
  const from = good.start + deltas.head!.bytes.length;
  const reads: number[] = [];
  // The quotes in front of the content and an `a`; the second one has its end too.
  for (const tail of ["OiJh", 'OiJhIn19","p":"abc']) {
    const bytes = new Uint8Array([...good.bytes.subarray(0, from), ...Buffer.from(tail), ...Buffer.from("YWFh".repeat(1_000))]);
    const seen = new Proxy(bytes, {
      get(target, name) {
        if (typeof name === "string" && /^\d+$/.test(name)) reads.push(Number(name));
        return Reflect.get(target, name, target);
      },
    });
    assert.equal(deltas.contentBehind(seen, from, from + tail.length), null, tail);
    assert.ok(reads.length > 0 && Math.max(...reads) < from + tail.length + 16, tail);
  }
});
