/** What a scripted model says, in whichever dialect it is asked. */
import type { SeenCall } from "./fake_answers.ts";

/** One turn of a model: a text, or one call of a tool that the client has. */
export type Turn = { readonly text: string } | { readonly tool: string; readonly input: Readonly<Record<string, unknown>> };

/** How one answer differs from a good and whole one. */
export interface Shape {
  /** So many events come; what follows is `then`. */
  readonly events?: number;
  /** `cut`: the connection breaks. `end`: it ends as if all had come. A promise: the rest waits. */
  readonly then?: "cut" | "end" | Promise<unknown>;
}

/** What the model says in the end, and what clients must show. */
export const FINAL_ANSWER = "The scripted answer is forty-two.";
/** What the tool prints, so that the next request shows that it ran. */
export const TOOL_OUTPUT = "the-tool-really-ran";

/** A model that runs `echo` with a client's tool first, and then says that it is done. */
export function toolThenAnswer(
  tool: string,
  inputOf: (command: string) => Readonly<Record<string, unknown>>,
): (call: SeenCall) => Turn {
  return (call) => {
    const asked = JSON.stringify(call.json());
    const isFirst = asked.includes(`"${tool}"`) && !asked.includes(TOOL_OUTPUT);
    return isFirst ? { tool, input: inputOf(`echo ${TOOL_OUTPUT}`) } : { text: FINAL_ANSWER };
  };
}

/** The text in pieces, a word each. */
export function wordsOf(text: string): readonly string[] {
  return text.match(/\S+\s*/g) ?? [""];
}

/** The pieces that come, and how they end. */
export function shaped<Piece extends string | Uint8Array>(
  pieces: readonly Piece[],
  { events = pieces.length, then = "end" }: Shape,
) {
  if (typeof then === "string") {
    const ending: "cut" | "tidy" = then === "cut" ? "cut" : "tidy";
    return { body: pieces.slice(0, events), ending } as const;
  }
  return { body: heldAt(pieces, { events, until: then }), ending: "tidy" } as const;
}

async function* heldAt<Piece>(
  pieces: readonly Piece[],
  { events, until }: { readonly events: number; readonly until: Promise<unknown> },
): AsyncGenerator<Piece> {
  for (const [n, piece] of pieces.entries()) {
    if (n === events) await until;
    yield piece;
  }
}
