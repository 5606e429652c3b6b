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

/**
 * Between 0 and 1, neither of them, evenly spread over texts: cyrb53, which is the 53 bits of two
 * multiplying hashes and MurmurHash3's finaliser. SHA-256 takes a hundred times as long (Deno
 * 2.9.6). Nothing secret hangs on it: a client may choose its credential by its session's name.
 */
function fractionOf(text: string): number {
  let [high, low] = [0xdeadbeef, 0x41c6ce57];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    high = Math.imul(high ^ code, 0x9e3779b1);
    low = Math.imul(low ^ code, 0x5f356495);
  }
  [high, low] = [mixed(high, low), mixed(low, high)];
  return ((low & 0x1fffff) * 2 ** 32 + (high >>> 0) + 0.5) / 2 ** 53;
}

function mixed(one: number, other: number): number {
  return Math.imul(one ^ (one >>> 16), 0x85ebca6b) ^ Math.imul(other ^ (other >>> 13), 0xc2b2ae35);
}
