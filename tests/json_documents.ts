/** Mulberry32: the same inputs in every run. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/**
 * Documents by grammar, most of them damaged a little, and now and then a heap of tokens or bytes.
 * Characters stand for bytes.
 */
export function jsonDocuments(below: (n: number) => number): () => Uint8Array {
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const some = (n: number, one: () => string) => Array.from({ length: below(n) }, one).join("");
  const spaces = ["", "", "", " ", "\n", "\t\r", "    "];
  const space = () => pick(spaces);
  // deno-fmt-ignore
  const characters = [
    "a", "b", " ", "long plain text of several words ", "/", "}", "]", ",", ":", "\x7f", "\xc3\xa9", "\xe2\x82\xac",
    "\xf0\x9f\x98\x80", "\xef\xbb\xbf", "\\n", '\\"', "\\\\", "\\/", "\\b", "\\u0041", "\\uD83D\\uDE00", "\\ud800", "\\u000a",
  ];
  const broken = ["\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\\x", "\\u12", "\x00", "\x1f", "\n", '"', "\\"];
  const character = () => below(60) === 0 ? pick(broken) : pick(characters);
  const string = () => `"${some(below(8) === 0 ? 40 : 6, character)}"`;
  const escaped = (text: string) =>
    text.replace(/[a-z_]/g, (letter) => below(4) > 0 ? letter : `\\u00${letter.charCodeAt(0).toString(16)}`);
  const keys = ["model", "stream", "max_tokens", "metadata", "messages", "", "__proto__", "\xc3\xa9", "\\u00e9", 'abc\\"\\n'];
  // deno-fmt-ignore
  const odd = [
    "\xf0\x9f\x98\x80", "\\ud83d\\ude00", "\\ufffd", "\xff", "\xef\xbf\xbd", "\xed", "modelx", "mode", "x", "model\\u0000",
  ];
  const key = () =>
    below(3) === 0 ? string() : `"${below(3) === 0 ? pick(odd) : below(4) === 0 ? escaped(pick(keys)) : pick(keys)}"`;
  const digits = () => some(4, () => pick([..."0123456789"]));
  const number = () =>
    below(3) > 0
      ? String(below(2000) - 1000)
      : pick(["", "-", "+"]) + digits() + pick(["", ".", "." + digits(), ""]) + pick(["", "", "e", "E-", "e+1", "E" + digits()]);
  const literals = ["true", "false", "null", "-0", "1e400", "0", "[]", "{}"];
  const value = (depth: number): string => {
    const kind = below(depth > 0 ? 7 : 5);
    if (kind < 2) return string();
    if (kind === 2) return number();
    if (kind < 5) return pick(literals);
    const parts = Array.from({ length: below(4) }, () => kind === 5 ? space() + value(depth - 1) + space() : member(depth - 1));
    return kind === 5 ? `[${parts.join(",") || space()}]` : `{${parts.join(",") || space()}}`;
  };
  const member = (depth: number) => space() + key() + space() + ":" + space() + value(depth) + space();
  const nested = () => {
    const levels = Array.from({ length: below(100) }, () => below(2));
    return levels.map((level) => level ? "[" : '{"a":').join("") + "1" +
      levels.reverse().map((level) => level ? "]" : "}").join("");
  };
  const object = () => `${space()}{${Array.from({ length: below(5) }, () => member(2)).join(",") || space()}}${space()}`;
  // deno-fmt-ignore
  const tokens = [
    "{", "}", "[", "]", ",", ":", '"model"', '"', "1", "-", "0", ".", "e", "true", "nul", " ", "\\", "\xef\xbb\xbf", "\xff",
  ];
  const document = () => {
    const kind = below(20);
    if (kind === 0) return some(12, () => pick(tokens));
    if (kind === 1) return some(12, () => String.fromCharCode(below(256)));
    if (kind === 2) return below(2) === 0 ? number() : `{"model":${number()}}`;
    if (kind === 3) return value(3);
    if (kind === 4) return `{"x":${nested()},${member(1)}}`;
    return (below(12) === 0 ? "\xef\xbb\xbf" : "") + object();
  };
  const damage = [
    (text: string, at: number) => text.slice(0, at),
    (text: string, at: number) => text.slice(0, at) + text.slice(at + 1 + below(3)),
    (text: string, at: number) =>
      text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1 << below(8)) + text.slice(at + 1),
    (text: string, at: number) => text.slice(0, at) + pick(tokens) + text.slice(at),
    (text: string, at: number) => text.slice(0, at) + text.slice(below(at + 1), at) + text.slice(at),
    (text: string, at: number) => text.slice(0, at) + pick(broken) + text.slice(at),
    (text: string, at: number) => text.slice(0, at) + pick(spaces) + text.slice(at),
  ];
  return () => {
    for (;;) {
      let text = document();
      while (text.length > 0 && below(2) === 0) text = pick(damage)(text, below(text.length));
      // After an object with the key `\\`, V8 15's JSON.parse takes other keys of one escaped
      // character for it: no oracle then.
      if (!/"\\(\\|u005c)"\s*:/i.test(text)) return latin1(text);
    }
  };
}
