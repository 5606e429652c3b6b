import { Fault } from "../domain/fault.ts";
import { decoderOf } from "../wire/decode.ts";
import { TopLevelScanner } from "../wire/json_scan.ts";
import { StringsOfKey } from "../wire/strings_of_key.ts";

/** The longest id that is looked at, as it may be written with escapes. */
const MAX_ID_BYTES = 6 * 256;

/** A scanner for what a request's body names as `file_id`, wherever in it. */
export function fileIdScanner(): StringsOfKey {
  return new StringsOfKey("file_id", { maxValueBytes: MAX_ID_BYTES });
}

/** Looks into a body that passes for the files that it names. */
export class NamedFiles {
  readonly #fileIds = fileIdScanner();
  readonly #json = new TopLevelScanner([], { maxValueBytes: 0 });
  readonly #isEncoded: boolean;
  readonly #decoder: ReturnType<typeof decoderOf>;

  constructor(contentEncoding: string, options: { readonly maxDecodedBytes: number }) {
    this.#isEncoded = isEncoded(contentEncoding);
    this.#decoder = decoderOf(contentEncoding, {
      maxBytes: options.maxDecodedBytes,
      onChunk: (chunk) => {
        this.#fileIds.push(chunk);
        if (this.#isEncoded) this.#json.push(chunk);
      },
    });
  }

  /** The ids that are new with this chunk. */
  async push(chunk: Uint8Array): Promise<readonly string[]> {
    await this.#decoder?.push(chunk);
    return this.#fileIds.take();
  }

  /** The last ids. Rejects with `Fault` `body_opaque` where the body could have named others that nobody saw. */
  async end(): Promise<readonly string[]> {
    await this.#decoder?.end();
    assertSeen({
      isEncoded: this.#isEncoded,
      isBlind: this.#decoder?.isBlind ?? true,
      isValid: this.#isEncoded && this.#json.end().isValid,
      isHidden: this.#fileIds.isHidden,
    });
    return this.#fileIds.take();
  }

  close(): void {
    this.#decoder?.close();
  }
}

export function isEncoded(contentEncoding: string): boolean {
  return contentEncoding.split(",").some((coding) => !/^\s*(?:identity)?\s*$/i.test(coding));
}

/**
 * A body that hides what it names does not pass: one in a coding that is not known here or is broken, or in another encoding than
 * UTF-8. What is decoded has to be one whole document, since another reader could go on where ours stopped.
 */
export function assertSeen(
  { isEncoded, isBlind, isValid, isHidden }: {
    readonly isEncoded: boolean;
    readonly isBlind: boolean;
    readonly isValid: boolean;
    readonly isHidden: boolean;
  },
): void {
  if (!isHidden && !isBlind && (!isEncoded || isValid)) return;
  throw new Fault(
    "body_opaque",
    "The request's body cannot be read: send JSON in UTF-8, as it is or whole in gzip, deflate, br or zstd.",
  );
}
