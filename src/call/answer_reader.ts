import { Buffer } from "node:buffer";
import type { Frame } from "../domain/frame.ts";
import type { AnswerDialect, BodyFacts, Part } from "../domain/provider.ts";
import { EMPTY_READING, type UsageReading } from "../domain/reading.ts";
import type { Outcome } from "../domain/usage.ts";
import { codingOf } from "../wire/answer_coding.ts";
import { type AnswerForm, formOf } from "../wire/answer_form.ts";
import { type CopyDecoder, decoderOf } from "../wire/decode.ts";
import { JsonValues } from "../wire/json_values.ts";
import { EventStreamReader } from "../wire/event_stream.ts";
import { JsonArrayReader } from "../wire/json_array.ts";
import { SseReader } from "../wire/sse.ts";

/** The most of one event, or of one wanted key of a JSON answer, that is read. All bytes pass. */
const MAX_EVENT_BYTES = 32 * 1024 * 1024;
const MAX_VALUE_BYTES = 4 * 1024 * 1024;
/** The most that is decoded of a compressed answer. */
const MAX_DECODED_BYTES = 256 * 1024 * 1024;

export interface ReadingOptions {
  readonly dialect: AnswerDialect;
  /** What the request asked for. */
  readonly asked: BodyFacts;
}

/** Reads a stream's bytes into its parts. */
interface PartReader {
  readonly push: (chunk: Uint8Array) => void;
  /** The bytes have ended. */
  readonly end?: () => void;
  /** It cannot tell the parts any more. */
  readonly isBlind: boolean;
  /** What is around the parts has ended too. Left out: nothing is. */
  readonly isWhole?: boolean;
}

/**
 * Reads a copy of one answer: what it used so far, and whether it is at its end. It reads the parts
 * of a stream one by one, or those keys of a JSON body that the dialect wants. A gateway's own page
 * is no message and passes unread, whatever its status says.
 */
export class AnswerReader {
  readonly #answer: Pick<Response, "ok" | "headers">;
  readonly #options: ReadingOptions;
  /** Undefined before the first byte; null if the coding is unknown. */
  #decoder: CopyDecoder | "plain" | null | undefined;
  /** The first bytes, until they tell the form. */
  #head: Uint8Array = new Uint8Array();
  #form: AnswerForm | null = null;
  #outcome: Outcome | null = null;
  #reading: UsageReading;
  #parts: PartReader | null = null;
  /** Content that the reading does not have yet; null: no content. */
  #characters: number | null = null;
  #json: JsonValues | null = null;

  constructor(answer: Pick<Response, "ok" | "headers">, options: ReadingOptions) {
    this.#answer = answer;
    this.#options = options;
    this.#reading = options.dialect.unsaid === undefined ? EMPTY_READING : { ...EMPTY_READING, ...this.#unsaid() };
  }

  get reading(): UsageReading {
    return this.#reading;
  }

  /** How the answer ended, once its bytes say so; null before. */
  get outcome(): Outcome | null {
    return this.#outcome;
  }

  /** Only the end of the bytes shows the answer's end, as far as is known: hold one chunk. */
  get holdsLast(): boolean {
    if (this.#decoder !== "plain" || this.#parts === null) return true;
    // What is not whole yet breaks if its bytes end, so its words need not wait for the next ones.
    return this.#options.dialect.endsWithBytes === true && (this.#reading.isWhole || this.#parts.isBlind);
  }

  /** A promise if the bytes are decoded first; it never rejects. */
  push(chunk: Uint8Array): void | Promise<void> {
    if (chunk.length === 0) return;
    if (this.#decoder === undefined) {
      const coding = codingOf(this.#answer.headers.get("content-encoding"), chunk[0]!);
      this.#decoder = coding === null
        ? "plain"
        : decoderOf(coding, { maxBytes: MAX_DECODED_BYTES, onChunk: (piece) => this.#take(piece) });
    }
    return this.#decoder === "plain" ? this.#take(chunk) : this.#decoder?.push(chunk);
  }

  /** No more bytes come. Resolves to how the answer ended. */
  async end(): Promise<Outcome> {
    const decoder = this.#decoder === "plain" ? undefined : this.#decoder;
    await decoder?.end();
    if (this.#form === null) this.#takeHead(this.#head, "all");
    this.#parts?.end?.();
    const values = this.#json?.end() ?? null;
    if (values !== null) this.#reading = this.#withUnsaid(this.#options.dialect.readAnswer(values));
    const isUnread = decoder === null || decoder?.isBlind === true;
    return this.#outcome ??= isUnread ? this.#finished() : this.#outcomeAtEnd();
  }

  /** Frees what is held; the reading stays. */
  close(): void {
    if (typeof this.#decoder === "object") this.#decoder?.close();
  }

  #take(chunk: Uint8Array): void {
    this.#parts?.push(chunk);
    this.#addContent();
    this.#json?.push(chunk);
    if (this.#form === null) this.#takeHead(this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]), "first");
  }

  #takeHead(head: Uint8Array, part: "first" | "all"): void {
    const { dialect, asked } = this.#options;
    const clues = { label: this.#answer.headers.get("content-type"), isStreamAsked: asked.isStreamed, isAll: part === "all" };
    this.#form = formOf(head, clues);
    if (this.#form === null) {
      // A copy: the caller may use the chunk's buffer again.
      this.#head = head.slice();
      return;
    }
    this.#head = new Uint8Array();
    this.#parts = this.#partReader(this.#form);
    if (this.#form === "json") this.#json = new JsonValues(dialect.answerKeys, { maxValueBytes: MAX_VALUE_BYTES });
    this.#take(head);
  }

  /** Null: the answer is no stream that the dialect has. */
  #partReader(form: AnswerForm): PartReader | null {
    const { partOf, readsArrays } = this.#options.dialect;
    const onEvent = (event: Part) => this.#fold(event);
    if (form === "events") {
      return new SseReader({ maxEventBytes: MAX_EVENT_BYTES, onEvent, skip: (text, from) => this.#foldDeltas(text, from) });
    }
    if (form === "array" && readsArrays === true) {
      return new JsonArrayReader({ maxElementBytes: MAX_EVENT_BYTES, onElement: (data) => this.#fold({ event: "", data }) });
    }
    return form === "frames" && partOf !== undefined ? this.#frameReader(partOf) : null;
  }

  #frameReader(partOf: (frame: Frame) => Part | null): PartReader {
    const deltas = this.#options.dialect.frameDeltas?.();
    const took = (characters: number | null | undefined): boolean => {
      if (characters == null) return false;
      this.#characters = (this.#characters ?? 0) + characters;
      return true;
    };
    return new EventStreamReader({
      maxMessageBytes: MAX_EVENT_BYTES,
      ...(deltas === undefined ? {} : {
        shortcut: {
          get head() {
            return deltas.head;
          },
          take: (bytes, from, to) => this.#outcome === null && took(deltas.contentBehind(bytes, from, to)),
        },
      }),
      onMessage: (frame) => {
        if (this.#outcome !== null || took(deltas?.contentOf(frame))) return;
        this.#addContent();
        const event = partOf(frame);
        if (event === null) return;
        deltas?.saw(frame, event.data);
        this.#fold(event);
      },
    });
  }

  #unsaid(): Partial<UsageReading> {
    const { dialect: { unsaid }, asked } = this.#options;
    return unsaid?.(asked, this.#answer.headers) ?? {};
  }

  /** With what the answer leaves out. */
  #withUnsaid(reading: UsageReading): UsageReading {
    if (this.#options.dialect.unsaid === undefined) return reading;
    const left = Object.entries(this.#unsaid()).filter(([field]) => reading[field as keyof UsageReading] === null);
    return left.length === 0 ? reading : { ...reading, ...Object.fromEntries(left) };
  }

  /** Nothing after the event that ended the answer counts, however the chunks are cut. */
  #fold(event: Part): void {
    if (this.#outcome !== null) return;
    const { dialect } = this.#options;
    this.#reading = dialect.parseStreamEvent(this.#reading, event);
    if (this.#reading.errorType !== null) this.#outcome = "upstream_error";
    else if (this.#reading.isWhole && dialect.endsWithBytes !== true) this.#outcome = this.#finished();
  }

  #addContent(): void {
    if (this.#characters === null) return;
    const contentCharacters = this.#reading.contentCharacters + this.#characters;
    this.#reading = { ...this.#reading, hasContent: true, contentCharacters };
    this.#characters = null;
  }

  #foldDeltas(text: string, from: number): number {
    if (this.#outcome !== null) return from;
    const { reading, to } = this.#options.dialect.parseDeltas(this.#reading, text, from);
    this.#reading = reading;
    return to;
  }

  #outcomeAtEnd(): Outcome {
    const { isWhole, hasContent, hasInput, errorType } = this.#reading;
    if (this.#parts !== null) {
      const isCut = !isWhole || this.#parts.isWhole === false;
      return this.#answer.ok && isCut && !this.#parts.isBlind ? "upstream_broke" : this.#finished();
    }
    if (this.#json !== null && this.#answer.ok && !isWhole) return "upstream_broke";
    return errorType === null && (hasContent || hasInput) ? this.#finished() : "upstream_error";
  }

  #finished(): Outcome {
    return this.#answer.ok ? "completed" : "upstream_error";
  }
}
