/** What is known of one answer's usage so far. Providers fold answers into it, never in place. */
export interface UsageReading {
  readonly messageId: string | null;
  /** The model in the answer: the one that served and is priced. */
  readonly servedModel: string | null;
  /** The upstream's stop reason. */
  readonly stopReason: string | null;
  /** The upstream's category of a refusal; "" if it named none, null if it did not mention one. */
  readonly refusalCategory: string | null;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheCreationInputTokens: number;
  readonly cacheReadInputTokens: number;
  /** 5-minute writes; with the 1-hour ones they sum to `cacheCreationInputTokens`. */
  readonly cacheCreation5mTokens: number;
  readonly cacheCreation1hTokens: number;
  /** A breakdown of `outputTokens`, not an addition. */
  readonly thinkingTokens: number;
  /** Counts by server tool, as the wire names them (`web_search_requests`, …). */
  readonly serverToolUse: Readonly<Record<string, number>>;
  readonly serviceTier: string | null;
  readonly inferenceGeo: string | null;
  readonly speed: string | null;
  /** The wire's `iterations`, whole: each entry with its own counts and model. */
  readonly iterations: readonly Readonly<Record<string, unknown>>[];
  /** The type of the error that the upstream answered, in a body or in the middle of a stream. */
  readonly errorType: string | null;
  /** A first content delta has come (or a whole message). */
  readonly hasContent: boolean;
  /** Characters of text, thinking and tool input that passed: the ground of an estimate. */
  readonly contentCharacters: number;
  /** Input and cache counts have been named by the upstream. */
  readonly hasInput: boolean;
  /** The output count is the upstream's last word. */
  readonly hasFinalOutput: boolean;
  /** The answer is whole: `message_stop`, or a JSON body to its end. */
  readonly isWhole: boolean;
  /** Ids of files that the upstream's own tools made: they are the caller's. Not part of a row. */
  readonly filesMade: readonly string[];
  /** The upstream named a count above `MAX_COUNT`: none of its counts can be believed. */
  readonly hasAbsurdCount: boolean;
}

/**
 * The most tokens, or uses of a tool, that one count may name. Real counts are a hundred times
 * lower. Sums in a database overflow at 2^63: billions of rows at this bound.
 */
export const MAX_COUNT = 1_000_000_000;

export const EMPTY_READING: UsageReading = {
  messageId: null,
  servedModel: null,
  stopReason: null,
  refusalCategory: null,
  inputTokens: 0,
  outputTokens: 0,
  cacheCreationInputTokens: 0,
  cacheReadInputTokens: 0,
  cacheCreation5mTokens: 0,
  cacheCreation1hTokens: 0,
  thinkingTokens: 0,
  serverToolUse: {},
  serviceTier: null,
  inferenceGeo: null,
  speed: null,
  iterations: [],
  errorType: null,
  hasContent: false,
  contentCharacters: 0,
  hasInput: false,
  hasFinalOutput: false,
  isWhole: false,
  filesMade: [],
  hasAbsurdCount: false,
};
