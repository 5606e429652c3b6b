import type { Frame, FrameDeltas, FrameHead } from "../../domain/frame.ts";
import { DELTA_DATA } from "../anthropic/answer.ts";
import { lengthOf, MAX_TEXT_LENGTH, STRING_CONTENT } from "../plain_deltas.ts";
import { decoder } from "./frames.ts";

/** What stands in front of a delta's content: the same in all of a block. */
interface Head extends FrameHead {
  readonly lead: Lead;
}

/** What the first group of base64 with content has in front of it: 0 to 2 bytes. */
interface Lead {
  readonly length: number;
  /** Of the group's 24 bits. */
  readonly mask: number;
  readonly bits: number;
  /** The whole rest of a delta: its first group of matches is the content. */
  readonly rest: RegExp;
}

const BEGINNING = '{"bytes":"';
const PLAIN_DELTA = new RegExp(`^${DELTA_DATA}$`);
/** The quotes in front of the content, and what is before them. */
const LEADS: readonly Lead[] = ["", '"', ':"'].map((text) => ({
  length: text.length,
  mask: bitsOf("\xff".repeat(text.length)),
  bits: bitsOf(text),
  rest: new RegExp(String.raw`^${text}(${STRING_CONTENT})"\} *\}$`),
}));
const END = '"}}';
/** How a delta ends: the group after 0 to 2 bytes of content, and the base64 behind it. */
const ENDS = [0, 1, 2].map((length) => ({
  mask: 0xff_ff_ff >> 8 * length,
  bits: bitsOf(END) >> 8 * length,
  behind: bytesOf(btoa(END.slice(3 - length))),
}));
const GROUP_CHARACTERS = 4;
const SPACES = bitsOf("   ");
/** AWS pads the JSON with a key of random length. */
const PADDING = bytesOf('","p":"');
const CLOSE = bytesOf('"}');
const REST_OF_PAYLOAD = /^([A-Za-z0-9+/]+={0,2})"(?:,"p":"[A-Za-z0-9]*")?\}$/;

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** The six bits of each character, -1 for all others. */
const SIX_BITS = Int32Array.from({ length: 256 }, (_, code) => BASE64.indexOf(String.fromCharCode(code)));
/** 1 for what stands for itself in a string of JSON, and is ASCII. */
const SIMPLE = Uint8Array.from({ length: 256 }, (_, code) => /[ !#-[\]-~]/.test(String.fromCharCode(code)) ? 1 : 0);
const WORD = Uint8Array.from({ length: 256 }, (_, code) => /[A-Za-z0-9]/.test(String.fromCharCode(code)) ? 1 : 0);

/**
 * Deltas in the one spelling that AWS has for chunks. Most are read where they are, in base64: a
 * text of each costs three times as much (`bench/dialect_bench.ts`).
 */
export function frameDeltas(): FrameDeltas {
  let known: Head | null = null;
  return {
    saw(frame, data) {
      known = headOf(frame, data) ?? known;
    },
    get head() {
      return known;
    },
    contentBehind: (bytes, from, to) => known === null ? null : simpleLength({ bytes, from, to }, known.lead),
    contentOf(frame) {
      if (known === null || !begins(frame, known) || frame.to - frame.from > MAX_TEXT_LENGTH) return null;
      return anyLength({ ...frame, from: frame.start + known.bytes.length }, known.lead);
    },
  };
}

type Tail = Pick<Frame, "bytes" | "from" | "to">;

function begins({ bytes, start, from, to }: Frame, head: Head): boolean {
  return from - start === head.headerBytes && start + head.bytes.length <= to && has(bytes, start, head.bytes);
}

/** Null if it is no delta. */
function headOf(frame: Frame, data: string): Head | null {
  if (data.length > MAX_TEXT_LENGTH) return null;
  const content = PLAIN_DELTA.exec(data)?.[1];
  if (content === undefined) return null;
  const before = data.lastIndexOf('"') - content.length;
  const lead = LEADS[before % 3]!;
  const payload = bytesOf(BEGINNING + btoa(data.slice(0, before - lead.length)));
  const headerBytes = frame.from - frame.start;
  const bytes = new Uint8Array(headerBytes + payload.length);
  bytes.set(frame.bytes.subarray(frame.start, frame.from));
  bytes.set(payload, headerBytes);
  const head = { bytes, headerBytes, lead };
  return begins(frame, head) ? head : null;
}

/** Null if the content has escapes, is not ASCII, or ends in another way. */
function simpleLength({ bytes, from, to }: Tail, lead: Lead): number | null {
  let at = from;
  let group = groupAt(bytes, at);
  if ((group & lead.mask) !== lead.bits) return null;
  group = group & ~lead.mask | SPACES & lead.mask;
  let characters = -lead.length;
  let count = simpleIn(group);
  for (; count === 3 && at < to; count = simpleIn(group)) {
    characters += count;
    at += GROUP_CHARACTERS;
    group = groupAt(bytes, at);
  }
  if (count === 3) return null;
  const { mask, bits, behind } = ENDS[count]!;
  at += GROUP_CHARACTERS;
  if ((group & mask) !== bits || !has(bytes, at, behind)) return null;
  return isEnd(bytes, at + behind.length, to) ? characters + count : null;
}

/** Null if it is no content, or more. */
function anyLength({ bytes, from, to }: Tail, lead: Lead): number | null {
  const base64 = REST_OF_PAYLOAD.exec(decoder.decode(bytes.subarray(from, to)))?.[1];
  if (base64 === undefined) return null;
  try {
    const content = lead.rest.exec(decoder.decode(Uint8Array.fromBase64(base64)))?.[1];
    return content === undefined ? null : lengthOf(content);
  } catch {
    return null;
  }
}

/** Three bytes of four characters; less than 0 if base64 does not have one of these. */
function groupAt(bytes: Uint8Array, at: number): number {
  return SIX_BITS[bytes[at]!]! << 18 | SIX_BITS[bytes[at + 1]!]! << 12 | SIX_BITS[bytes[at + 2]!]! << 6 |
    SIX_BITS[bytes[at + 3]!]!;
}

/** How many bytes at the group's beginning are simple. */
function simpleIn(group: number): 0 | 1 | 2 | 3 {
  if (group < 0 || SIMPLE[group >> 16] === 0) return 0;
  if (SIMPLE[group >> 8 & 0xff] === 0) return 1;
  return SIMPLE[group & 0xff] === 0 ? 2 : 3;
}

function isEnd(bytes: Uint8Array, at: number, to: number): boolean {
  let end = at;
  if (has(bytes, at, PADDING)) {
    end += PADDING.length;
    while (end < to && WORD[bytes[end]!] === 1) end++;
  }
  return end === to - CLOSE.length && has(bytes, end, CLOSE);
}

function has(bytes: Uint8Array, at: number, known: Uint8Array): boolean {
  for (let index = 0; index < known.length; index++) if (bytes[at + index] !== known[index]) return false;
  return true;
}

/** Of a text in ASCII. */
function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The first three bytes of a text as 24 bits. */
function bitsOf(text: string): number {
  return text.padEnd(3, "\0").split("").reduce((bits, character) => bits << 8 | character.charCodeAt(0), 0);
}
