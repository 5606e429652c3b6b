import { createHash } from "node:crypto";

interface Weighed {
  readonly id: string;
  readonly weight: number;
}

/**
 * The usable candidate that the key belongs to; null if none is usable. Each candidate gets a score
 * from the key and its own id alone, and the highest wins ("weighted rendezvous hashing", Schindler
 * and Thaler). So a candidate that comes or goes moves only keys to it or from it, and shares are
 * as the weights are.
 */
export function preferred<C extends Weighed>(
  candidates: readonly C[],
  key: string,
  isUsable: (candidate: C) => boolean = () => true,
): C | null {
  let [best, highest]: [C | null, number] = [null, 0];
  for (const candidate of candidates) {
    const score = candidate.weight / -Math.log(fractionOf(`${candidate.id}\0${key}`));
    if (score > highest && isUsable(candidate)) [best, highest] = [candidate, score];
  }
  return best;
}

/** Between 0 and 1, neither of them, evenly spread over texts. */
function fractionOf(text: string): number {
  return (createHash("sha256").update(text).digest().readUIntBE(0, 6) + 0.5) / 2 ** 48;
}
