import { Fault } from "../domain/fault.ts";
import type { OwnedNames } from "../domain/provider.ts";
import { decoderOf } from "../wire/decode.ts";
import { EVENT_LOOP_BUDGET } from "../wire/event_loop_budget.ts";
import { type ScanResult, TopLevelScanner } from "../wire/json_scan.ts";
import { StringsOfKeys } from "../wire/strings_of_keys.ts";

/** More things than one request can use; ids beyond are not told. */
export const MAX_NAMED = 10_000;
/** The longest id that is looked at, as it may be written with escapes. */
const MAX_ID_BYTES = 6 * 256;
const MAX_VALUE_BYTES = 16 * 1024;
/** Bytes that tell UTF-16 and UTF-32 from UTF-8. */
const LONGEST_MARK = 4;
/** So much is looked at in one go. */
const BYTES_A_LOOK = 256 * 1024;
/** The scanner takes 0.7 to 2 ns a byte; the search for names up to 40 (Deno 2.9.6). */
const SCANS_A_LOOK = 8;

export interface BodyScanOptions {
  readonly maxDecodedBytes: number;
  /** How the body names what is owned. */
  readonly owned: OwnedNames;
  /** Top-level keys that are wanted. */
  readonly keys: readonly string[];
}

/** What may be an item's id in a body, each once, at most one more than `MAX_NAMED`. */
export interface NamedItems {
  readonly ids: readonly string[];
  /** The body does refer to items. */
  readonly areSure: boolean;
}

/** Looks into a request's body as it comes, for the things that it names and for top-level keys. */
export class BodyScan {
  readonly isEncoded: boolean;
  readonly #strings: StringsOfKeys;
  readonly #ids = new Set<string>();
  readonly #items = new Set<string>();
  readonly #json: TopLevelScanner;
  readonly #needsJson: boolean;
  readonly #decoder: ReturnType<typeof decoderOf>;

  constructor(contentEncoding: string, { maxDecodedBytes, owned, keys }: BodyScanOptions) {
    this.isEncoded = contentEncoding.split(",").some((coding) => !/^\s*(?:identity)?\s*$/i.test(coding));
    const { keys: below, items: { keys: at, mark } = NO_ITEMS } = owned;
    this.#strings = new StringsOfKeys({ below, at, ...mark === undefined ? {} : { mark } }, { maxValueBytes: MAX_ID_BYTES });
    this.#json = new TopLevelScanner(keys, { maxValueBytes: MAX_VALUE_BYTES, spotted: [...below, ...at] });
    this.#needsJson = this.isEncoded || keys.length > 0;
    this.#decoder = decoderOf(contentEncoding, {
      maxBytes: maxDecodedBytes,
      onChunk: (chunk) => {
        if (this.#needsJson) this.#json.push(chunk);
        this.#strings.push(chunk);
        this.#keepIds();
      },
    });
  }

  /** A promise if the bytes are decoded first; it never rejects. */
  push(chunk: Uint8Array): void | Promise<void> {
    return this.#decoder?.push(chunk);
  }

  /** Shows it the whole body, and shares the event loop. Rejects as `end`. */
  async readWhole(bytes: Uint8Array): Promise<ScanResult> {
    if (!this.isEncoded) await this.#readPlain(bytes);
    else await eachPiece(bytes, (piece) => this.push(piece));
    return await this.end();
  }

  /** The ids since the last call, each once, at most one more than `MAX_NAMED`. */
  takeIds(): readonly string[] {
    const ids = [...this.#ids];
    this.#ids.clear();
    return ids;
  }

  /** Those so far. Only a body that has ended surely refers to none. */
  get items(): NamedItems {
    return { ids: [...this.#items], areSure: this.#strings.hasMark };
  }

  /**
   * Rejects with `Fault` `body_opaque` if the body can hide what it names: by an unknown or broken
   * coding, or by another encoding than UTF-8. A decoded body has to be one whole document, because
   * another reader could go on where ours stopped.
   */
  async end(): Promise<ScanResult> {
    await this.#decoder?.end();
    this.#keepIds();
    const result = this.#json.end();
    const isSeen = this.#decoder?.isBlind === false && !this.#strings.isHidden && (!this.isEncoded || result.isValid);
    if (isSeen) return result;
    throw new Fault(
      "body_opaque",
      "The request's body cannot be read: send JSON in UTF-8, as it is or whole in gzip, deflate, br or zstd.",
    );
  }

  close(): void {
    this.#decoder?.close();
  }

  /** The second scanner looks for names only if the first may have missed or has seen one. */
  async #readPlain(bytes: Uint8Array): Promise<void> {
    await eachPiece(bytes, (piece) => this.#json.push(piece), SCANS_A_LOOK);
    const mayName = this.#json.hasSpotted || !this.#json.end().isValid;
    await eachPiece(mayName ? bytes : bytes.subarray(0, LONGEST_MARK), (piece) => {
      this.#strings.push(piece);
      this.#keepIds();
    });
  }

  #keepIds(): void {
    const { below, at } = this.#strings.take();
    for (const id of below) if (this.#ids.size <= MAX_NAMED) this.#ids.add(id);
    for (const id of at) if (this.#items.size <= MAX_NAMED) this.#items.add(id);
  }
}

/**
 * Throws `Fault` `body_opaque` for protocol buffers. Google takes them on each path, also as arrays
 * in JSON (`application/json+protobuf`). They number their fields, so no key names a thing.
 */
export function assertHasKeys(contentType: string | null): void {
  if (!/protobuf/i.test(contentType ?? "")) return;
  throw new Fault("body_opaque", "The request's body is in protocol buffers, which cannot be read here: send JSON.");
}

const NO_ITEMS: { readonly keys: readonly string[]; readonly mark?: string } = { keys: [] };

/** Shows the bytes piece by piece, and shares the turns. `share`: so many are one in the budget. */
async function eachPiece(bytes: Uint8Array, look: (piece: Uint8Array) => void | Promise<void>, share = 1): Promise<void> {
  for (let from = 0; from < bytes.length; from += BYTES_A_LOOK) {
    const piece = bytes.subarray(from, from + BYTES_A_LOOK);
    const others = EVENT_LOOP_BUDGET.enter(piece.length / share);
    if (others !== undefined) await others;
    await look(piece);
  }
}
