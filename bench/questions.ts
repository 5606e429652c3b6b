import { Buffer } from "node:buffer";
import { type Ask, dialectOf } from "./answers.ts";
import type { BenchDialect, Step } from "./dialects.ts";

/** Digits of the turn's number in a request. */
export const TURN_DIGITS = 12;

/** The request bodies of one load: conversations of an agent, all of one size. */
export interface Questions {
  readonly bytes: number;
  /** Writes the body of that turn. No two turns have the same. */
  readonly write: (turn: number, into: Buffer<ArrayBuffer>) => void;
}

/** Different texts. Each turn takes the next, and its number stands in the last message. */
const VARIANTS = 8;
const kept = new Map<string, Questions>();

export function questionsOf({ ask, bodyBytes }: { readonly ask: Ask; readonly bodyBytes: number }): Questions {
  const isStreamed = ask.kind !== "unary";
  const dialect = dialectOf(ask);
  const key = `${dialect.title} ${isStreamed} ${bodyBytes}`;
  const known = kept.get(key) ?? makeQuestions(bodyBytes, { dialect, isStreamed });
  kept.set(key, known);
  return known;
}

interface Kind {
  readonly dialect: BenchDialect;
  readonly isStreamed: boolean;
}

function makeQuestions(bytes: number, kind: Kind): Questions {
  const bodies = Array.from({ length: VARIANTS }, (_, variant) => conversation(bytes, { ...kind, variant }));
  const turnAt = bodies.map((body) => body.lastIndexOf("0".repeat(TURN_DIGITS)));
  return {
    bytes,
    write(turn, into) {
      const variant = turn % VARIANTS;
      into.set(bodies[variant]!);
      into.write(String(turn).padStart(TURN_DIGITS, "0"), turnAt[variant]!, "latin1");
    },
  };
}

const CODE = [
  "export function total(rows: readonly Row[]): number {\n\treturn rows.reduce((sum, row) => sum + row.count, 0);\n}\n",
  'if (name === "") throw new Error(`Cannot read ${JSON.stringify(path)}: it has no name`);\n',
  "- Rename the function in all four files, and run the tests.\n",
  "C:\\work\\tree\\src\\main.rs:41:9: warning: unused variable `é` – prefix it with an underscore\n",
  'assert.deepEqual(await read(), { "status": 200, "body": "naïve café ✓" });\n',
  "The build took 12.8 s; 3 of 418 tests failed, all of them in the parser.\n",
];

/** About as long as what an agent reads and writes in one step. */
const STEP_CHARS = 3_000;

/** A body of exactly that many bytes. */
function conversation(bytes: number, { dialect, isStreamed, variant }: Kind & { readonly variant: number }): Buffer<ArrayBuffer> {
  const random = randomFrom(variant + 1);
  const said = (text: string): Step => ({ kind: "text", text });
  const steps = [dialect.stepOf(said(`Task ${variant}: ${textOf(500, random)}`))];
  const last = (padding: number) => dialect.stepOf(said(`${"0".repeat(TURN_DIGITS)} Go on.${".".repeat(padding)}`));
  const bodyOf = (padding: number) =>
    Buffer.from(JSON.stringify(dialect.bodyOf({
      isStreamed,
      system: "You are a coding agent. Answer briefly, and say what you did.",
      steps: [...steps, last(padding)],
    })));
  let left = bytes - bodyOf(0).length;
  for (let step = 0; left > 0; step++) {
    const id = `toolu_${variant}_${step}`;
    const pair = [
      dialect.stepOf({ kind: "call", id, path: `src/${step}.ts` }),
      dialect.stepOf({ kind: "result", id, text: textOf(STEP_CHARS, random) }),
    ];
    left -= Buffer.byteLength(JSON.stringify(pair)) - 1;
    if (left >= 0) steps.push(...pair);
  }
  return bodyOf(bytes - bodyOf(0).length);
}

function textOf(chars: number, random: () => number): string {
  let text = "";
  while (text.length < chars) text += CODE[Math.floor(random() * CODE.length)]! + Math.floor(random() * 1e9);
  return text;
}

/** Returns numbers from 0 to 1, the same in every run: xorshift32. */
export function randomFrom(seed: number): () => number {
  let state = seed * 0x9e3779b1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
