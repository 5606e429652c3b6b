import { Buffer } from "node:buffer";
import { formOf } from "./answer_form.ts";
import { type CopyDecoder, decoderOf } from "./decode.ts";
import { TopLevelScanner } from "./json_scan.ts";

/**
 * Reads a copy of an answer's JSON, if it is some, while the answer passes on. Nothing in it throws
 * or rejects.
 */
export class JsonCopy {
  readonly #scanner: TopLevelScanner;
  readonly #decoder: CopyDecoder | null;
  /** The first bytes, until they tell whether it is JSON. */
  #head: Uint8Array = new Uint8Array();
  #isJson: boolean | null = null;

  /** `keys` are those of the top level whose values are kept, up to `maxValueBytes` each. */
  constructor(
    headers: Headers,
    options: { readonly keys: readonly string[]; readonly maxValueBytes: number; readonly maxDecodedBytes: number },
  ) {
    this.#scanner = new TopLevelScanner([...options.keys], { maxValueBytes: options.maxValueBytes });
    this.#decoder = decoderOf(headers.get("content-encoding") ?? "", {
      maxBytes: options.maxDecodedBytes,
      onChunk: (chunk) => this.#take(chunk),
    });
  }

  /** Copies what it has to keep. Nobody has to wait. */
  push(chunk: Uint8Array): void {
    void this.#decoder?.push(chunk);
  }

  /**
   * The answer has ended. `isCut`: it began as JSON and is not whole. What cannot be decoded is not
   * called cut.
   */
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
    if (this.#isJson === null) {
      this.#head = Buffer.concat([this.#head, chunk]);
      // The first bytes alone are to decide: JSON begins with a brace here, and nothing else does.
      const form = formOf(this.#head, { label: null, isStreamAsked: true, isAll: false });
      if (form === null) return;
      this.#isJson = form === "json";
      chunk = this.#head;
      this.#head = new Uint8Array();
    }
    if (this.#isJson) this.#scanner.push(chunk);
  }
}
