import { ulid } from "ulid";

/** Chance for the demo. The same seed throws the same. */
export interface Dice {
  /** From 0 to below 1. */
  readonly next: () => number;
  /** A whole number from `least` to `most`, both included. */
  readonly whole: (least: number, most: number) => number;
  readonly chance: (probability: number) => boolean;
  /** Each value as often as its weight says. */
  readonly oneOf: <T>(values: readonly (readonly [weight: number, value: T])[]) => T;
  /** A whole number around the median, of which a few are many times larger, as tokens are. */
  readonly around: (median: number, spread?: number) => number;
  /** 26 characters that sort by that time. */
  readonly ulid: (time: number) => string;
  readonly uuid: () => string;
  readonly hex: (length: number) => string;
}

const USUAL_SPREAD = 0.6;

export function diceOf(seed: number): Dice {
  let state = seed >>> 0;
  /** Mulberry32 (https://gist.github.com/tommyettinger/46a874533244883189143505d203312c). */
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }
  const whole = (least: number, most: number) => least + Math.floor(next() * (most - least + 1));
  const hex = (length: number) => Array.from({ length }, () => whole(0, 15).toString(16)).join("");
  return {
    next,
    whole,
    hex,
    chance: (probability) => next() < probability,
    oneOf(values) {
      let left = next() * values.reduce((sum, [weight]) => sum + weight, 0);
      return (values.find(([weight]) => (left -= weight) < 0) ?? values.at(-1)!)[1];
    },
    around(median, spread = USUAL_SPREAD) {
      const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
      return Math.max(1, Math.round(median * Math.exp(normal * spread)));
    },
    ulid: (time) => ulid(time, next),
    uuid: () => [hex(8), hex(4), `4${hex(3)}`, `a${hex(3)}`, hex(12)].join("-"),
  };
}
