import { Fault } from "../domain/fault.ts";
import { Buffer } from "node:buffer";
import { EMPTY_READING, type UsageReading } from "../domain/reading.ts";
import type { Outcome } from "../domain/usage.ts";
import { type AnswerForm, formOf } from "../wire/answer_form.ts";
import { codingOf } from "../wire/answer_coding.ts";
import { decoderOf } from "../wire/decode.ts";
import { TopLevelScanner } from "../wire/json_scan.ts";
import { SseReader } from "../wire/sse.ts";
import { tap, type Watch } from "../wire/tap.ts";
import { type Exchange, failureOf, returned } from "./forward.ts";
import type { Recorder } from "./record.ts";
import { CLIENT_LEFT } from "./traffic.ts";
import type { Deps } from "./deps.ts";

/** The most of one event, or of one wanted key of a JSON answer, that is looked at. The bytes pass all the same. */
const MAX_EVENT_BYTES = 32 * 1024 * 1024;
const MAX_VALUE_BYTES = 4 * 1024 * 1024;
/** The most that is decoded of a compressed answer. */
const MAX_DECODED_BYTES = 256 * 1024 * 1024;

/** Statuses whose answers have no body (Fetch standard, "null body status"). */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/**
 * The answer, passing unchanged to the client while it is read. Its end is committed before its last bytes leave;
 * where it breaks, or ends early, or cannot be committed, the client's connection breaks too.
 */
export async function meter(
  exchange: Exchange,
  options: { readonly recorder: Recorder; readonly deps: Deps },
): Promise<Response> {
  const { answer } = exchange;
  const init = returned(answer, exchange.credential);
  if (answer.body === null || NULL_BODY_STATUSES.has(answer.status)) {
    // Whatever its status says, it is no message.
    await options.recorder.end("upstream_error", EMPTY_READING);
    return new Response(null, init);
  }
  if (answer.ok && init.headers.get("content-length") === "0") {
    await options.recorder.end("upstream_broke", EMPTY_READING);
    throw new Fault("upstream_unreachable", "The upstream's answer is empty.");
  }
  const reader = readerOf(exchange, options.deps);
  const watch = watchOf(exchange, { ...options, reader });
  const isSized = init.headers.has("content-length");
  const holdsLast = () => isSized || reader.holdsLast();
  return new Response(tap(answer.body, watch, { holdsLast, isSized, silence: exchange.silence }), init);
}

/** Reads one answer: told its bytes, it knows the reading so far and whether the answer is at its end. */
interface AnswerReader {
  /** A promise where the bytes are decoded first; it never rejects. */
  readonly push: (chunk: Uint8Array) => void | Promise<void>;
  /** No more bytes come: what is still being decoded is finished. */
  readonly end: () => Promise<void>;
  /** Nobody asks any more, wherever the answer is: what is held for it is freed. */
  readonly close: () => void;
  readonly reading: () => UsageReading;
  /** How the answer ended, as soon as that is known; null before. */
  readonly outcome: () => Outcome | null;
  /** How it ended where the bytes end now without another word. */
  readonly outcomeAtEnd: () => Outcome;
  /**
   * The end is known only at the end of the bytes, as far as anybody can say by now: one chunk must
   * be held back for it.
   */
  readonly holdsLast: () => boolean;
}

function watchOf(
  exchange: Exchange,
  options: { readonly reader: AnswerReader; readonly recorder: Recorder },
): Watch {
  const { reader, recorder } = options;
  const endAs = (outcome: Outcome) => {
    // Of a JSON body, and of the last bytes of a compressed one, the content is known only now.
    if (reader.reading().hasContent) recorder.contentCame();
    const ended = recorder.end(exchange.hasLeft() && outcome === "completed" ? "client_left" : outcome, reader.reading());
    const files = reader.reading().filesMade;
    return files.length === 0 ? ended : Promise.all([ended, recorder.claimFiles(files)]).then(() => {});
  };
  const looked = () => {
    if (reader.reading().hasContent) recorder.contentCame();
    const outcome = reader.outcome();
    return outcome === null ? undefined : endAs(outcome);
  };
  let isCutOff = false;
  onAbort(exchange.controller.signal, (reason) => {
    // Not left to the break of the source, which is met only by whoever reads on: a client may have stopped reading.
    if (recorder.hasEnded) return;
    isCutOff = true;
    endAs(failureOf(exchange.controller.signal, reason).outcome).catch(() => {});
  });
  recorder.settled.then(reader.close);
  return {
    look: (chunk) => {
      // What came just before is in no row any more, and may be the answer's end.
      if (isCutOff) throw new Error("the call has been cut off");
      if (recorder.hasEnded) return;
      const pushed = reader.push(chunk);
      return pushed === undefined ? looked() : pushed.then(looked);
    },
    ended: async () => {
      if (isCutOff) return "broken";
      if (recorder.hasEnded) return "tidy";
      await reader.end();
      const outcome = reader.outcome() ?? reader.outcomeAtEnd();
      await endAs(outcome);
      return outcome === "upstream_broke" ? "broken" : "tidy";
    },
    broke: async (error) => {
      await endAs(failureOf(exchange.controller.signal, error).outcome).catch(() => {});
    },
    left: () => {
      exchange.leave();
      return exchange.controller.signal.reason === CLIENT_LEFT || recorder.hasEnded ? cancel(endAs) : "drain";
    },
  };
}

function onAbort(signal: AbortSignal, then: (reason: unknown) => void): void {
  if (signal.aborted) then(signal.reason);
  else signal.addEventListener("abort", () => then(signal.reason), { once: true });
}

function cancel(endAs: (outcome: Outcome) => Promise<void>): "cancel" {
  endAs("client_left").catch(() => {});
  return "cancel";
}

/** Reads the answer in the coding that its first byte tells (`codingOf`). */
function readerOf(exchange: Exchange, deps: Deps): AnswerReader {
  const plain = readerByForm(exchange, deps);
  const label = exchange.answer.headers.get("content-encoding");
  let reader: AnswerReader | null = null;
  return {
    push: (chunk) => {
      if (chunk.length === 0) return;
      if (reader === null) {
        const coding = codingOf(label, chunk[0]!);
        reader = coding === null ? plain : decodingReader(exchange, { plain, coding });
      }
      return reader.push(chunk);
    },
    end: () => (reader ?? plain).end(),
    close: () => reader?.close(),
    reading: plain.reading,
    outcome: plain.outcome,
    outcomeAtEnd: () => (reader ?? plain).outcomeAtEnd(),
    holdsLast: () => reader?.holdsLast() ?? true,
  };
}

/** What is compressed is decoded first, and what cannot be decoded passes unread. */
function decodingReader(
  { answer }: Exchange,
  { plain, coding }: { readonly plain: AnswerReader; readonly coding: string },
): AnswerReader {
  const decoder = decoderOf(coding, { maxBytes: MAX_DECODED_BYTES, onChunk: plain.push });
  return {
    ...plain,
    holdsLast: () => true,
    push: (chunk) => decoder?.push(chunk),
    end: async () => {
      await decoder?.end();
      await plain.end();
    },
    close: () => decoder?.close(),
    outcomeAtEnd: () => decoder === null || decoder.isBlind ? finished(answer) : plain.outcomeAtEnd(),
  };
}

/**
 * Events one by one, a body of which only the keys that the provider reads are kept, or bytes that
 * stay unread.
 */
const READERS: Readonly<Record<AnswerForm, (answer: Response, deps: Deps) => AnswerReader>> = {
  events: eventReader,
  json: bodyReader,
  other: otherReader,
};

/** Reads the answer as what its first bytes are (`formOf`). Until they have come, it holds them. */
function readerByForm({ answer, isStreamAsked }: Exchange, deps: Deps): AnswerReader {
  const clues = { label: answer.headers.get("content-type"), isStreamAsked };
  let head: Uint8Array = new Uint8Array();
  let reader: AnswerReader | null = null;

  function decide({ isAll }: { readonly isAll: boolean }): void {
    const form = formOf(head, { ...clues, isAll });
    if (form === null) return;
    reader = READERS[form](answer, deps);
    reader.push(head);
    head = new Uint8Array();
  }

  return {
    push: (chunk) => {
      if (reader !== null) return reader.push(chunk);
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
      decide({ isAll: false });
    },
    end: () => {
      if (reader === null) decide({ isAll: true });
      return reader!.end();
    },
    close: () => {},
    reading: () => reader?.reading() ?? EMPTY_READING,
    outcome: () => reader?.outcome() ?? null,
    outcomeAtEnd: () => reader!.outcomeAtEnd(),
    holdsLast: () => reader?.holdsLast() ?? true,
  };
}

function eventReader(answer: Response, deps: Deps): AnswerReader {
  let reading = EMPTY_READING;
  /**
   * What comes behind the event that ended the answer counts no more, however the bytes were cut
   * into chunks.
   */
  let outcome: Outcome | null = null;
  const sse = new SseReader({
    maxEventBytes: MAX_EVENT_BYTES,
    onEvent: (event) => {
      if (outcome !== null) return;
      reading = deps.provider.parseStreamEvent(reading, event);
      if (reading.errorType !== null) outcome = "upstream_error";
      else if (reading.isWhole) outcome = finished(answer);
    },
  });
  return {
    push: (chunk) => sse.push(chunk),
    end: () => Promise.resolve(sse.end()),
    close: () => {},
    reading: () => reading,
    outcome: () => outcome,
    outcomeAtEnd: () => answer.ok && !sse.isBlind ? "upstream_broke" : finished(answer),
    holdsLast: () => false,
  };
}

function bodyReader(answer: Response, { provider }: Deps): AnswerReader {
  const scanner = new TopLevelScanner(provider.answerKeys, { maxValueBytes: MAX_VALUE_BYTES });
  let reading = EMPTY_READING;
  return {
    push: (chunk) => scanner.push(chunk),
    end: () => {
      const { isValid, found } = scanner.end();
      const read = provider.readAnswer(Object.fromEntries(provider.answerKeys.map((key) => [key, found.get(key)?.value])));
      // A broken document says nothing of usage, but the files in it were made.
      reading = isValid ? read : { ...EMPTY_READING, filesMade: read.filesMade };
      return Promise.resolve();
    },
    close: () => {},
    reading: () => reading,
    outcome: () => null,
    outcomeAtEnd: () => {
      if (answer.ok && !reading.isWhole) return "upstream_broke";
      const isMessage = reading.hasContent || reading.hasInput;
      return reading.errorType === null && isMessage ? finished(answer) : "upstream_error";
    },
    holdsLast: () => true,
  };
}

/**
 * A page of a gateway in between: it passes to its end and is no message, whatever its status says.
 */
function otherReader(): AnswerReader {
  return {
    push: () => {},
    end: () => Promise.resolve(),
    close: () => {},
    reading: () => EMPTY_READING,
    outcome: () => null,
    outcomeAtEnd: () => "upstream_error",
    holdsLast: () => true,
  };
}

function finished(answer: Response): Outcome {
  return answer.ok ? "completed" : "upstream_error";
}
