import { Buffer } from "node:buffer";
import { formOf } from "./answer_form.ts";
import { type CopyDecoder, decoderOf } from "./decode.ts";
import { TopLevelScanner } from "./json_scan.ts";

/** Reads a copy of an answer while it passes on, if it is JSON. Never throws or rejects. */
export class JsonCopy {
  readonly #scanner: TopLevelScanner;
  readonly #onChunk: (chunk: Uint8Array) => void;
  readonly #decoder: CopyDecoder | null;
  /** The first bytes, until they tell what it is. */
  #head: Uint8Array = new Uint8Array();
  #isJson: boolean | null = null;

  /**
   * Keeps the values of these top-level `keys`, up to `maxValueBytes` each. `onChunk` is shown the
   * decoded bytes, JSON or not.
   */
  constructor(
    headers: Headers,
    options: {
      readonly keys: readonly string[];
      readonly maxValueBytes: number;
      readonly maxDecodedBytes: number;
      readonly onChunk?: (chunk: Uint8Array) => void;
    },
  ) {
    this.#onChunk = options.onChunk ?? (() => {});
    this.#scanner = new TopLevelScanner([...options.keys], { maxValueBytes: options.maxValueBytes });
    this.#decoder = decoderOf(headers.get("content-encoding") ?? "", {
      maxBytes: options.maxDecodedBytes,
      onChunk: (chunk) => this.#take(chunk),
    });
  }

  /** Copies what it keeps. There is no need to wait. */
  push(chunk: Uint8Array): void {
    void this.#decoder?.push(chunk);
  }

  /** The answer has ended. `isCut`: it can be decoded, began as JSON and is not whole. */
  async end(): Promise<{ readonly values: ReadonlyMap<string, unknown>; readonly isCut: boolean }> {
    await this.#decoder?.end();
    const { found, isValid } = this.#scanner.end();
    const isReadable = this.#decoder !== null && !this.#decoder.isBlind;
    return {
      values: new Map([...found].map(([key, { value }]) => [key, value])),
      isCut: isReadable && this.#isJson === true && !isValid,
    };
  }

  close(): void {
    this.#decoder?.close();
  }

  #take(chunk: Uint8Array): void {
    this.#onChunk(chunk);
    if (this.#isJson === null) {
      this.#head = Buffer.concat([this.#head, chunk]);
      // Without a label: only a brace begins JSON here.
      const form = formOf(this.#head, { label: null, isStreamAsked: true, isAll: false });
      if (form === null) return;
      this.#isJson = form === "json";
      chunk = this.#head;
      this.#head = new Uint8Array();
    }
    if (this.#isJson) this.#scanner.push(chunk);
  }
}
