import { Fault } from "../domain/fault.ts";
import type { OwnedNames, PassthroughRoute } from "../domain/provider.ts";
import { FormFields } from "../wire/form_fields.ts";
import { BodyScan } from "./body_scan.ts";
import type { Named } from "./ownership.ts";

/** The longest value of a field that is looked at. */
const MAX_FIELD_BYTES = 16 * 1024;
const encoder = new TextEncoder();

export interface BodyNamesOptions extends Pick<PassthroughRoute, "namesOwnedIf"> {
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly maxDecodedBytes: number;
  readonly owned: OwnedNames;
}

/**
 * Looks into a body that passes, for what it names: as JSON, or as fields of a form, whose values
 * may be JSON. What a form's file holds is content, unless the route says that it holds requests.
 */
export class BodyNames {
  readonly #scan: BodyScan;
  readonly #form: FormFields | null;
  readonly #owned: OwnedNames;
  readonly #condition: NonNullable<PassthroughRoute["namesOwnedIf"]> | null;
  #isMet: boolean;
  readonly #fieldItems: string[] = [];

  constructor({ contentType, contentEncoding, maxDecodedBytes, owned, namesOwnedIf }: BodyNamesOptions) {
    this.#scan = new BodyScan(contentEncoding, { maxDecodedBytes, owned, keys: [] });
    this.#form = FormFields.of(contentType, { maxValueBytes: MAX_FIELD_BYTES });
    this.#owned = owned;
    this.#condition = namesOwnedIf ?? null;
    this.#isMet = namesOwnedIf === undefined;
  }

  /** A promise if the bytes are decoded first; it never rejects. */
  push(chunk: Uint8Array): void | Promise<void> {
    this.#form?.push(chunk);
    if (this.#form === null || this.#condition !== null) return this.#scan.push(chunk);
  }

  /** What it names so far, since the last call; nothing while a condition may still fail. */
  take(): Named {
    const fields = this.#form?.take() ?? [];
    const wanted = this.#condition;
    if (wanted !== null && fields.some(({ name, value }) => name === wanted.field && value.trim() === wanted.value)) {
      this.#isMet = true;
    }
    const isIn = (keys: readonly string[], name: string) => name.split(/[[\].]/).some((word) => keys.includes(word));
    const { keys, items } = this.#owned;
    this.#fieldItems.push(...fields.filter(({ name }) => isIn(items?.keys ?? [], name)).map((one) => one.value));
    const things = fields.filter(({ name }) => isIn(keys, name)).map((one) => one.value);
    if (this.#condition === null) { for (const { value } of fields) void this.#scan.push(encoder.encode(`${value}\n`)); }
    return { things: this.#condition === null ? [...things, ...this.#scan.takeIds()] : things };
  }

  /** The rest. Rejects as `BodyScan.end`, and if a form may have fields that it does not see. */
  async end(): Promise<Named> {
    const { things } = this.take();
    if (this.#form !== null && (this.#form.isHidden || this.#scan.isEncoded)) {
      throw new Fault("body_opaque", "The request's form cannot be read: send it without escapes, codings and other text.");
    }
    if (!this.#isMet) {
      this.close();
      return { things };
    }
    await this.#scan.end();
    const { ids, areSure } = this.#scan.items;
    return {
      things: [...things, ...this.#scan.takeIds()],
      items: { ids: [...ids, ...this.#fieldItems], areSure: areSure || this.#fieldItems.length > 0 },
    };
  }

  close(): void {
    this.#scan.close();
  }
}
