/** What a scripted model says, in whichever dialect it is asked. */
import { heldBefore, type Script, type SeenCall } from "./fake_answers.ts";

/** One turn of a model: a text, or one call of a tool that the client has. */
export type Turn = { readonly text: string } | {
  readonly tool: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** In OpenAI's Responses a tool may be one of several under a name. */
  readonly namespace?: string;
};

/**
 * How a streamed answer differs from a good and whole one, in its middle. `cut`: the connection
 * breaks. `end`: it ends as if all had come. `error`: the dialect's own event of an error comes,
 * and then the end. A promise: the rest waits for it.
 */
export type Middle = "cut" | "end" | "error" | Promise<unknown> | null;

/** The text of an upstream's error, in a stream or instead of an answer. */
export const UPSTREAM_ERROR = "The model has hiccups.";

/** How a fake upstream answers in its dialect. */
export interface ModelScript {
  readonly turn: (call: SeenCall) => Turn;
  /** Of streamed answers. */
  readonly middle?: (call: SeenCall) => Middle;
  /** That call's answer instead of the model's; null: none. */
  readonly instead?: (call: SeenCall) => Script | null;
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

/** The pieces of a body that come, and how they end. `error`: the event of an error. */
export function streamedAs<Piece extends string | Uint8Array>(
  pieces: readonly Piece[],
  { middle, error }: { readonly middle: Middle; readonly error: Piece },
) {
  const half = Math.floor(pieces.length / 2);
  if (middle === null) return { body: pieces, ending: "tidy" } as const;
  if (typeof middle !== "string") return { body: heldBefore(pieces, { number: half, until: middle }), ending: "tidy" } as const;
  const body = [...pieces.slice(0, half), ...middle === "error" ? [error] : []];
  return { body, ending: middle === "cut" ? "cut" : "tidy" } as const;
}
