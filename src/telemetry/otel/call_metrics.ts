import type { Attributes, Histogram, Meter } from "@opentelemetry/api";
import type { Closing, OpenCall } from "../../domain/usage.ts";
import { ModelLabels } from "../metrics.ts";
import { errorTypeOf, OPERATION, secondsToFirstChunk, tokensOf } from "./attributes.ts";

/**
 * Names, units and buckets as the semantic conventions have them:
 * https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-metrics.md
 */
const TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864];
const SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const HISTOGRAMS = {
  tokens: ["gen_ai.client.token.usage", "{token}", TOKENS, "Number of input and output tokens used."],
  duration: ["gen_ai.client.operation.duration", "s", SECONDS, "GenAI operation duration."],
  firstChunk: ["gen_ai.client.operation.time_to_first_chunk", "s", SECONDS, "Time to receive the first chunk."],
} as const;

/** The conventions' metrics of billed calls. */
export class CallMetrics {
  readonly #tokens: Histogram;
  readonly #duration: Histogram;
  readonly #firstChunk: Histogram;
  readonly #models = new ModelLabels();
  readonly #clean: (text: string) => string;

  /** `clean` returns the text without credentials: not all words are ours. */
  constructor(meter: Meter, clean: (text: string) => string) {
    this.#clean = clean;
    const of = (key: keyof typeof HISTOGRAMS) => {
      const [name, unit, buckets, description] = HISTOGRAMS[key];
      return meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...buckets] } });
    };
    [this.#tokens, this.#duration, this.#firstChunk] = [of("tokens"), of("duration"), of("firstChunk")];
  }

  ended(call: OpenCall, closing: Closing, server: Readonly<Record<string, string | number>>): void {
    const common = { ...this.#modelsOf(call, closing), ...server };
    const tokens = tokensOf(closing);
    if (tokens !== null) {
      this.#tokens.record(tokens.input, { ...common, "gen_ai.token.type": "input" });
      this.#tokens.record(tokens.output, { ...common, "gen_ai.token.type": "output" });
    }
    const errorType = errorTypeOf(closing);
    const ended = errorType === null ? common : { ...common, "error.type": this.#clean(errorType) };
    if (closing.duration !== null) this.#duration.record(closing.duration / 1000, ended);
    const seconds = secondsToFirstChunk(call, closing);
    if (seconds !== null) this.#firstChunk.record(seconds, common);
  }

  /**
   * Each model costs time series, and clients can make models up. So a requested one shows only if
   * the upstream has served it, and of both kinds together no more than `ModelLabels` tells apart.
   */
  #modelsOf({ provider, requestedModel }: OpenCall, { reading: { servedModel } }: Closing): Attributes {
    const operation = { "gen_ai.operation.name": OPERATION, "gen_ai.provider.name": provider };
    if (servedModel === null || servedModel === "") return operation;
    const response = { ...operation, "gen_ai.response.model": this.#models.labelOf(this.#clean(servedModel)) };
    if (requestedModel === "") return response;
    return { ...response, "gen_ai.request.model": this.#models.labelOf(this.#clean(requestedModel)) };
  }
}
