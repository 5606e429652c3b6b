import { Fault } from "../domain/fault.ts";
import type { Upstream } from "../domain/upstream.ts";
import { decoderOf } from "../wire/decode.ts";
import { StringsOfKeys } from "../wire/strings_of_keys.ts";

/** The longest name of a model that is looked at, as it may be written with escapes. */
const MAX_NAME_BYTES = 6 * 256;

export interface BatchModelsOptions {
  readonly contentEncoding: string;
  readonly maxDecodedBytes: number;
  readonly upstream: Pick<Upstream, "mayUse">;
  readonly workspaceId: string;
}

/**
 * Looks into a batch that passes, for the models that its requests ask for. Any string at the key
 * `model` counts: where it stands is not looked at, so that no spelling hides one.
 */
export class BatchModels {
  readonly #options: BatchModelsOptions;
  readonly #strings = new StringsOfKeys({ below: [], at: ["model"] }, { maxValueBytes: MAX_NAME_BYTES });
  readonly #decoder: ReturnType<typeof decoderOf>;

  private constructor(options: BatchModelsOptions) {
    this.#options = options;
    const { contentEncoding, maxDecodedBytes: maxBytes } = options;
    this.#decoder = decoderOf(contentEncoding, { maxBytes, onChunk: (chunk) => this.#strings.push(chunk) });
  }

  /** Null if the workspace may ask that upstream for all models. */
  static of(options: BatchModelsOptions): BatchModels | null {
    const { upstream, workspaceId } = options;
    return upstream.mayUse({ workspaceId, model: "" }) ? null : new BatchModels(options);
  }

  /** Rejects with `Fault` `model_not_allowed`. */
  async push(chunk: Uint8Array): Promise<void> {
    await this.#decoder?.push(chunk);
    this.#assertAllowed();
  }

  /** The rest. Rejects as `push`, and with `body_opaque` if the body may hide a model. */
  async end(): Promise<void> {
    await this.#decoder?.end();
    this.#assertAllowed();
    if (this.#decoder?.isBlind === false && !this.#strings.isHidden) return;
    throw new Fault("body_opaque", "The models of this batch cannot be read: send JSON in UTF-8, uncompressed.");
  }

  close(): void {
    this.#decoder?.close();
  }

  #assertAllowed(): void {
    const { upstream, workspaceId } = this.#options;
    if (this.#strings.take().at.every((model) => model !== "" && upstream.mayUse({ workspaceId, model }))) return;
    throw new Fault(
      "model_not_allowed",
      "A request of this batch asks for a model that this proxy offers to no batch of this workspace. Choose another " +
        "model, or ask the proxy's operator.",
    );
  }
}
