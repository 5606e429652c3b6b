import type { Sample } from "../../../domain/operations.ts";

/** The machine's metrics at one moment. */
export class Samples {
  readonly #all: readonly Sample[];

  constructor(all: readonly Sample[]) {
    this.#all = all;
  }

  /** Its only value, or the one with these labels; null: it is missing, or could not be read. */
  of(name: string, labels: Sample["labels"] = {}): number | null {
    const found = this.all(name).find((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value));
    return found === undefined || Number.isNaN(found.value) ? null : found.value;
  }

  all(name: string): readonly Sample[] {
    return this.#all.filter((sample) => sample.name === name);
  }

  /** The labels of one name that occur, each once. */
  labels(name: string, label: string): readonly string[] {
    return [...new Set(this.all(name).map(({ labels }) => labels[label] ?? ""))];
  }
}
