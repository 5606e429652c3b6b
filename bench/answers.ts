import { Buffer } from "node:buffer";

/** What a call asks of the fake upstream. Every relay passes its `LOAD_HEADER` on. */
export type Ask =
  | { readonly kind: "unary" }
  /** Events as fast as possible, one write each. */
  | { readonly kind: "stream"; readonly events: number }
  /** All events in one write and one HTTP chunk. */
  | { readonly kind: "burst"; readonly events: number }
  /**
   * The first event at once, then one every `1000 / perSecond` ms, each with its time of writing.
   */
  | { readonly kind: "paced"; readonly events: number; readonly perSecond: number };

export const LOAD_HEADER = "x-bench-load";

export function askText(ask: Ask): string {
  if (ask.kind === "unary") return "unary";
  return ask.kind === "paced" ? `paced ${ask.events} ${ask.perSecond}` : `${ask.kind} ${ask.events}`;
}

export function askOf(text: string): Ask {
  const [kind, events, perSecond] = text.split(" ");
  if (kind === "unary") return { kind };
  if (kind === "stream" || kind === "burst") return { kind, events: Number(events) };
  if (kind === "paced") return { kind, events: Number(events), perSecond: Number(perSecond) };
  throw new Error(`Cannot read the load ${JSON.stringify(text)}`);
}

/** Digits of a time stamp: microseconds since the epoch. */
export const STAMP_DIGITS = 16;

/** The body of an answer, event by event. */
export interface Script {
  readonly body: Buffer<ArrayBuffer>;
  /** Of each event: where it begins and ends in the body, and its time stamp's place or -1. */
  readonly events: readonly { readonly start: number; readonly end: number; readonly stampAt: number }[];
}

/** Every answer says that it used these tokens, so that the bench can check the records. */
export const USED = { input: 412, output: 290 };

/** What the upstream answers to `ask`; time stamps are all zeros. */
export function scriptOf(ask: Ask): Script {
  if (ask.kind === "unary") return { body: Buffer.from(JSON.stringify(MESSAGE)), events: [] };
  const texts = eventTexts(ask.events);
  let start = 0;
  const events = texts.map((text) => {
    const end = start + text.length;
    const at = text.indexOf(NO_STAMP);
    const event = { start, end, stampAt: at < 0 ? -1 : start + at };
    start = end;
    return event;
  });
  return { body: Buffer.from(texts.join("")), events };
}

export const MODEL = "claude-opus-4-5-20251101";
const NO_STAMP = "0".repeat(STAMP_DIGITS);

const USAGE = {
  input_tokens: USED.input,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 2048,
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
  output_tokens: USED.output,
  service_tier: "standard",
};

const MESSAGE = {
  id: "msg_01XFDUDYJgAACzvnptvVoYEL",
  type: "message",
  role: "assistant",
  model: MODEL,
  content: [{ type: "text", text: "The function is renamed in four files and all tests pass. ".repeat(4) }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: USAGE,
};

/** ASCII only, so that lengths in characters are lengths in bytes. */
function eventTexts(count: number): string[] {
  const delta = (index: number) => ({
    type: "content_block_delta",
    index: 0,
    delta: { type: "text_delta", text: `${NO_STAMP} word ${String(index).padStart(5, "0")} of it` },
  });
  const start = { ...MESSAGE, content: [], stop_reason: null, usage: { ...USAGE, output_tokens: 1 } };
  const head = [
    { type: "message_start", message: start },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  ];
  const tail = [
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: USAGE },
    { type: "message_stop" },
  ];
  const deltas = Array.from({ length: count - head.length - tail.length }, (_, index) => delta(index));
  return [...head, ...deltas, ...tail].map((data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`);
}
