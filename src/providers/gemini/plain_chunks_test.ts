import assert from "node:assert/strict";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { parseStreamEvent } from "./answer.ts";
import { parseDeltas } from "./plain_chunks.ts";

/** Chunks of a stream, plain or nearly so. Half of them repeat the one before. */
function seededChunks(seed: number): readonly object[] {
  let state = seed;
  const below = (n: number) => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return Math.floor((state >>> 0) / 2 ** 32 * n);
  };
  const oneOf = <T>(...all: readonly T[]) => all[below(all.length)]!;
  const maybe = (fields: object) => below(3) === 0 ? fields : {};
  const count = () => oneOf(0, 1, 5, 40, 700, 999_999_999, 1_234_567_890);
  const text = () => oneOf("", "a", "é 🎉", '"\\\n\u0001', "\u2028");
  const fresh = () => {
    const part = { text: text(), ...maybe({ thought: true }), ...maybe({ thought: false }) };
    return {
      candidates: [{
        content: { parts: below(9) === 0 ? [part, part] : [part], role: "model" },
        ...(below(9) === 0 ? { finishReason: "STOP" } : {}),
        ...maybe({ index: 0 }),
      }],
      usageMetadata: {
        promptTokenCount: count(),
        ...maybe({ candidatesTokenCount: count() }),
        totalTokenCount: count(),
        ...maybe({ cachedContentTokenCount: count() }),
        ...maybe({ promptTokensDetails: [{ modality: oneOf("TEXT", "TEXT", "AUDIO"), tokenCount: count() }] }),
        ...maybe({ thoughtsTokenCount: count() }),
        ...maybe({ serviceTier: oneOf("standard", "flex") }),
      },
      modelVersion: oneOf("gemini-3.8-flash", "gemini-3.8-flash", "models/gemini-3.8-flash"),
      responseId: oneOf("r1", "r1", "r2"),
    };
  };
  const chunks = [fresh()];
  for (let left = below(8); left > 0; left--) {
    const next = below(2) === 0 ? fresh() : structuredClone(chunks.at(-1)!);
    next.candidates[0]!.content.parts[0]!.text = text();
    const usage: { totalTokenCount: number; candidatesTokenCount?: number } = next.usageMetadata;
    if (usage.candidatesTokenCount !== undefined) usage.candidatesTokenCount = count();
    usage.totalTokenCount = count();
    chunks.push(next);
  }
  return chunks;
}

function spelled(chunk: object, isSpaced: boolean): string {
  const text = JSON.stringify(chunk);
  return isSpaced ? text.replace(/":(?=["{[\dt])/g, '": ') : text;
}

/** As a reader of the stream folds it, and how many events the shortcut took. */
function fold(data: readonly string[], hasShortcut: boolean): { readonly reading: UsageReading; readonly taken: number } {
  const events = data.map((one) => `data: ${one}\r\n\r\n`);
  const text = events.join("");
  let reading: UsageReading = EMPTY_READING;
  let taken = 0;
  for (let at = 0, index = 0; index < events.length;) {
    const read = hasShortcut ? parseDeltas(reading, text, at) : { reading, to: at };
    reading = read.reading;
    for (; at < read.to; index++) {
      at += events[index]!.length;
      taken++;
    }
    assert.equal(at, read.to, "it took a part of an event");
    if (index === events.length) break;
    reading = parseStreamEvent(reading, { event: "", data: data[index]! });
    at += events[index]!.length;
    index++;
  }
  return { reading, taken };
}

Deno.test("parseDeltas() makes the reading that parseStreamEvent() makes of the same events, on 20,000 seeded streams", () => {
  let taken = 0;
  for (let seed = 1; seed <= 20_000; seed++) {
    const data = seededChunks(seed).map((chunk) => spelled(chunk, seed % 2 === 0));
    const short = fold(data, true);
    taken += short.taken;
    assert.deepEqual(short.reading, fold(data, false).reading, data.join("\n"));
  }
  assert.ok(taken > 10_000, `${taken} events`);
});

Deno.test("parseDeltas() takes what the API sends most, in one go, and stops at the event that ends the answer", () => {
  const usage = (n: number) => ({
    promptTokenCount: 412,
    candidatesTokenCount: n,
    totalTokenCount: 442 + n,
    promptTokensDetails: [{ modality: "TEXT", tokenCount: 412 }],
    thoughtsTokenCount: 30,
  });
  const chunk = (n: number, finish = {}) => ({
    candidates: [{ content: { parts: [{ text: "word " }], role: "model" }, ...finish, index: 0 }],
    usageMetadata: usage(n),
    modelVersion: "gemini-3.8-flash",
    responseId: "r1",
  });
  for (const isSpaced of [true, false]) {
    const chunks = [chunk(1), chunk(2), chunk(3), chunk(4, { finishReason: "STOP" })].map((one) => spelled(one, isSpaced));
    const events = chunks.map((one) => `data: ${one}\r\n\r\n`);
    const { reading, to } = parseDeltas(EMPTY_READING, `: ping\n\n${events.join("")}`, 8);
    assert.equal(to, 8 + events.slice(0, 3).join("").length);
    assert.deepEqual([reading.inputTokens, reading.outputTokens, reading.thinkingTokens, reading.contentCharacters], [
      412,
      33,
      30,
      15,
    ]);
  }
});

Deno.test("parseDeltas() leaves a text alone that could overflow the stack", () => {
  const text = `data: {"candidates": [{"content": {"parts": [{"text": "${"x".repeat(300_000)}"}]`;
  assert.deepEqual(parseDeltas(EMPTY_READING, text, 0), { reading: EMPTY_READING, to: 0 });
});
