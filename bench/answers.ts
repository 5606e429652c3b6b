import { Buffer } from "node:buffer";
import { type BenchDialect, type DialectName, DIALECTS, NO_STAMP } from "./dialects.ts";

/** What a call asks of the fake upstream. Every relay passes its `LOAD_HEADER` on. */
export type Ask =
  & {
    /** Left out: Anthropic's. */
    readonly dialect?: DialectName;
  }
  & (
    | { readonly kind: "unary" }
    /** Events as fast as possible, one write each. */
    | { readonly kind: "stream"; readonly events: number }
    /** All events in one write and one HTTP chunk. */
    | { readonly kind: "burst"; readonly events: number }
    /**
     * The first event at once, then one every `1000 / perSecond` ms, each with its time of writing
     * if its text is plain.
     */
    | { readonly kind: "paced"; readonly events: number; readonly perSecond: number }
  );

export const LOAD_HEADER = "x-bench-load";

export function askText(ask: Ask): string {
  const name: DialectName = ask.dialect ?? "anthropic";
  if (ask.kind === "unary") return `${name} unary`;
  return `${name} ${ask.kind} ${ask.events}${ask.kind === "paced" ? ` ${ask.perSecond}` : ""}`;
}

export function askOf(text: string): Ask {
  const [name = "", kind, events, perSecond] = text.split(" ");
  const dialect = name as DialectName;
  if (!(dialect in DIALECTS)) throw new Error(`Cannot read the load ${JSON.stringify(text)}`);
  if (kind === "unary") return { dialect, kind };
  if (kind === "stream" || kind === "burst") return { dialect, kind, events: Number(events) };
  if (kind === "paced") return { dialect, kind, events: Number(events), perSecond: Number(perSecond) };
  throw new Error(`Cannot read the load ${JSON.stringify(text)}`);
}

export function dialectOf({ dialect = "anthropic" }: Pick<Ask, "dialect">): BenchDialect {
  return DIALECTS[dialect];
}

/** The body of an answer, event by event. */
export interface Script {
  readonly contentType: string;
  readonly body: Buffer<ArrayBuffer>;
  /** Of each event: where it begins and ends in the body, and its time stamp's place or -1. */
  readonly events: readonly { readonly start: number; readonly end: number; readonly stampAt: number }[];
}

/** What the upstream answers to `ask`; time stamps are all zeros. */
export function scriptOf(ask: Ask): Script {
  const { answer, events: eventsOf, contentType } = dialectOf(ask);
  if (ask.kind === "unary") return { contentType: "application/json", body: Buffer.from(JSON.stringify(answer)), events: [] };
  const pieces = eventsOf(ask.events).map((event) => Buffer.from(event as string));
  let start = 0;
  const events = pieces.map((piece) => {
    const end = start + piece.length;
    const at = piece.indexOf(NO_STAMP);
    const event = { start, end, stampAt: at < 0 ? -1 : start + at };
    start = end;
    return event;
  });
  return { contentType, body: Buffer.concat(pieces), events };
}
