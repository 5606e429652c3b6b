import { cutClientString } from "../domain/text.ts";

/** Each model costs a time series for every combination of the other labels. */
export const MAX_MODEL_LABELS = 100;

const NONE = "none";
const OTHER = "other";

/** The models that have a label of their own: the first `MAX_MODEL_LABELS` that the upstream served. */
export class ModelLabels {
  readonly #seen = new Set<string>();

  /** The model itself, `none` where no answer named one, `other` from the hundred-and-first on. */
  labelOf(servedModel: string | null): string {
    if (servedModel === null || servedModel === "") return NONE;
    const model = cutClientString(servedModel);
    if (this.#seen.has(model)) return model;
    if (this.#seen.size >= MAX_MODEL_LABELS) return OTHER;
    this.#seen.add(model);
    return model;
  }
}
