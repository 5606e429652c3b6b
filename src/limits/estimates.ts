import { LRUCache } from "lru-cache";
import type { AskedCall, Estimate, Estimates } from "../domain/limits.ts";
import type { PriceOf } from "../domain/price.ts";
import { EMPTY_READING } from "../domain/reading.ts";
import type { Closing, OpenCall } from "../domain/usage.ts";

export interface EstimatesOptions {
  /** `typical`: as recent calls of that model were. `max`: the most that a call can use. */
  readonly by: "typical" | "max";
  readonly priceOf: PriceOf;
}

/** What recent calls were like that asked for one model. */
interface Learned {
  readonly servedModel: string;
  /** Tokens for each byte of the request. */
  readonly input: number;
  readonly written: number;
  readonly read: number;
  /** Tokens. */
  readonly output: number;
}

/** Before anything is learned: English and code have three to four bytes a token. */
const FIRST: Omit<Learned, "servedModel"> = { input: 0.3, written: 0, read: 0, output: 1_000 };
/** Weight of the latest call. */
const WEIGHT = 0.05;
const MOST_MODELS = 1_000;

/** The largest context of any model: no call uses more. */
const MOST_TOKENS = 1_000_000;
/** The largest output of any model: the API refuses a larger `max_tokens`. */
const MOST_OUTPUT_TOKENS = 128_000;
/** What the API adds to a prompt, such as how to use tools. */
const ADDED_TOKENS = 1_000;
/** A compressed body says less of its prompt. */
const TYPICAL_COMPRESSION = 8;

/** Estimates of calls, learned from those that have ended in this process. */
export class CallEstimates implements Estimates {
  readonly #options: EstimatesOptions;
  readonly #learned = new LRUCache<string, Learned>({ max: MOST_MODELS });

  constructor(options: EstimatesOptions) {
    this.#options = options;
  }

  get needsCacheMarks(): boolean {
    return this.#options.by === "max";
  }

  of(call: AskedCall): Estimate {
    return this.#options.by === "max" ? this.#most(call) : this.#typical(call);
  }

  learn({ requestedModel, requestBytes }: OpenCall, { outcome, accuracy, reading }: Closing): void {
    if (outcome !== "completed" || accuracy !== "exact" || requestBytes === 0 || reading.servedModel === null) return;
    const before = this.#learned.get(requestedModel);
    const { inputTokens, cacheCreationInputTokens, cacheReadInputTokens } = reading;
    // Otherwise its prompt was not in its bytes: a URL or a file held it, or they were compressed.
    const isSized = inputTokens + cacheCreationInputTokens + cacheReadInputTokens <= requestBytes;
    const { input, written, read } = before ?? FIRST;
    const now: Learned = {
      servedModel: reading.servedModel,
      input: isSized ? inputTokens / requestBytes : input,
      written: isSized ? cacheCreationInputTokens / requestBytes : written,
      read: isSized ? cacheReadInputTokens / requestBytes : read,
      output: reading.outputTokens,
    };
    const mixed = (field: keyof typeof FIRST) =>
      before === undefined ? now[field] : before[field] * (1 - WEIGHT) + now[field] * WEIGHT;
    this.#learned.set(requestedModel, {
      servedModel: now.servedModel,
      ...{ input: mixed("input"), written: mixed("written"), read: mixed("read"), output: mixed("output") },
    });
  }

  #typical(call: AskedCall): Estimate {
    const learned = this.#learned.get(call.model) ?? { servedModel: call.model, ...FIRST };
    const sent = call.isCompressed ? call.bytes * TYPICAL_COMPRESSION : call.bytes;
    const bytes = Math.min(sent, MOST_TOKENS / (learned.input + learned.written + learned.read));
    const counts = {
      inputTokens: Math.ceil(learned.input * bytes),
      cacheCreationInputTokens: Math.ceil(learned.written * bytes),
      cacheReadInputTokens: Math.ceil(learned.read * bytes),
      outputTokens: Math.min(Math.ceil(learned.output), mostOutput(call)),
    };
    const { inputTokens, cacheCreationInputTokens, cacheReadInputTokens, outputTokens } = counts;
    return {
      tokens: Math.min(inputTokens + cacheCreationInputTokens + cacheReadInputTokens + outputTokens, MOST_TOKENS),
      cost: this.#costOf(call, learned.servedModel, counts),
    };
  }

  /** A token has at least one byte, except in a compressed body and in a file that it names. */
  #most(call: AskedCall): Estimate {
    const servedModel = this.#learned.get(call.model)?.servedModel ?? call.model;
    const isOpen = call.isCompressed || call.namesFiles;
    const prompt = isOpen ? MOST_TOKENS : Math.min(call.bytes + ADDED_TOKENS, MOST_TOKENS);
    const outputTokens = mostOutput(call);
    const plain = this.#costOf(call, servedModel, { inputTokens: prompt, outputTokens });
    // As the seller names the writes that live longest: they cost most.
    const longest = { cacheCreation1hTokens: prompt, tokenParts: { write12h: prompt } };
    const cached = { cacheCreationInputTokens: prompt, ...longest, outputTokens };
    // Null if writes have no price: then they are not billed apart.
    const dearest = call.mayCache ? this.#costOf(call, servedModel, cached) : null;
    const tokens = Math.min(prompt + outputTokens, MOST_TOKENS);
    return { tokens, cost: plain === null ? null : Math.max(plain, dearest ?? plain) };
  }

  #costOf(
    { provider, at, speed, inferenceGeo }: AskedCall,
    servedModel: string,
    counts: Partial<typeof EMPTY_READING>,
  ): number | null {
    const cost = this.#options.priceOf({
      ...EMPTY_READING,
      ...counts,
      kind: "message",
      provider,
      servedModel,
      speed,
      inferenceGeo,
    }, at);
    return cost.isPriced ? cost.nanoDollars : null;
  }
}

/** A sandbox chooses `max_tokens`: what no model can make must not hold what others need. */
function mostOutput({ maxTokens }: AskedCall): number {
  return Math.min(Math.max(maxTokens ?? MOST_OUTPUT_TOKENS, 0), MOST_OUTPUT_TOKENS);
}
