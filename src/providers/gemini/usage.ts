import { MAX_COUNT, type UsageReading } from "../../domain/reading.ts";
import { countOf, isRecord, textOf } from "../untrusted_json.ts";

type Data = Readonly<Record<string, unknown>>;
type Parts = UsageReading["tokenParts"];

/** The counts of a `usageMetadata`; 0: it does not name that one. */
export interface Counts {
  /** With the cached tokens. */
  readonly prompt: number;
  readonly cached: number;
  /** What tools answered to the model: beside the prompt. */
  readonly toolUse: number;
  /** Without the thoughts. */
  readonly candidates: number;
  readonly thoughts: number;
}

export interface NamedCounts extends Counts {
  /** The sum of prompt, tool use, candidates and thoughts. */
  readonly total: number;
}

/**
 * Folds a `usageMetadata` (https://ai.google.dev/api/generate-content) into the reading.
 *
 * The counts of a stream are cumulative. Some chunks leave counts out, or have zeros in their
 * place: of each count the last one counts that is not zero.
 */
export function foldUsage(reading: UsageReading, usage: Data): UsageReading {
  const named = namedIn(usage);
  return {
    ...reading,
    ...readingCounts(foldCounts(countsOf(reading), named)),
    hasInput: reading.hasInput || named.prompt > 0,
    tokenParts: partsOf(reading.tokenParts, { usage, toolUse: named.toolUse }),
    serviceTier: tierIn(usage) ?? reading.serviceTier,
    hasAbsurdCount: reading.hasAbsurdCount || namesAbsurdCount(usage),
  };
}

/** Whether it names an output. Zero is one only if no content has come. */
export function namesOutput({ contentCharacters }: UsageReading, usage: Data): boolean {
  const { prompt, candidates, thoughts } = namedIn(usage);
  return candidates + thoughts > 0 || (prompt > 0 && contentCharacters === 0);
}

/** What the reading has of them. */
export function countsOf({ inputTokens, cacheReadInputTokens, outputTokens, thinkingTokens, tokenParts }: UsageReading): Counts {
  const toolUse = tokenParts[TOOL_USE] ?? 0;
  return {
    prompt: inputTokens + cacheReadInputTokens - toolUse,
    cached: cacheReadInputTokens,
    toolUse,
    candidates: outputTokens - thinkingTokens,
    thoughts: thinkingTokens,
  };
}

export function foldCounts(known: Counts, named: NamedCounts): Counts {
  const prompt = named.prompt || known.prompt;
  const toolUse = named.toolUse || known.toolUse;
  const thoughts = named.thoughts || known.thoughts;
  // Early chunks leave out the candidates, but the total has them.
  const rest = named.prompt === 0 ? 0 : named.total - prompt - toolUse - thoughts;
  return {
    prompt,
    toolUse,
    thoughts,
    cached: Math.min(named.cached || known.cached, prompt),
    candidates: named.candidates || Math.max(known.candidates, rest),
  };
}

/** In a reading, input and cache reads exclude each other, and the output has the thoughts. */
export function readingCounts({ prompt, cached, toolUse, candidates, thoughts }: Counts) {
  return {
    inputTokens: prompt - cached + toolUse,
    cacheReadInputTokens: cached,
    outputTokens: candidates + thoughts,
    thinkingTokens: thoughts,
  };
}

function namedIn(usage: Data): NamedCounts {
  return {
    prompt: countOf(usage.promptTokenCount) ?? 0,
    cached: countOf(usage.cachedContentTokenCount) ?? 0,
    toolUse: countOf(usage.toolUsePromptTokenCount) ?? 0,
    candidates: countOf(usage.candidatesTokenCount) ?? 0,
    thoughts: countOf(usage.thoughtsTokenCount) ?? 0,
    total: countOf(usage.totalTokenCount) ?? 0,
  };
}

/** Vertex AI names a type of traffic instead. */
function tierIn({ serviceTier, trafficType }: Data): string | null {
  return textOf(serviceTier) ?? textOf(trafficType);
}

/** Google does not say what this part of the input costs. */
const TOOL_USE = "toolUseInput";

/** Parts that are not text. Some models have other prices for them. */
function partsOf(known: Parts, { usage, toolUse }: { readonly usage: Data; readonly toolUse: number }): Parts {
  const { audioInput = 0, cachedAudio = 0, audioOutput = 0, imageOutput = 0 } = known;
  const audio = tokensOf(usage.promptTokensDetails, "AUDIO") || audioInput + cachedAudio;
  const fromCache = Math.min(tokensOf(usage.cacheTokensDetails, "AUDIO") || cachedAudio, audio);
  const parts = {
    [TOOL_USE]: toolUse || (known[TOOL_USE] ?? 0),
    audioInput: audio - fromCache,
    cachedAudio: fromCache,
    audioOutput: tokensOf(usage.candidatesTokensDetails, "AUDIO") || audioOutput,
    imageOutput: tokensOf(usage.candidatesTokensDetails, "IMAGE") || imageOutput,
  };
  return Object.fromEntries(Object.entries(parts).filter(([, count]) => count > 0));
}

/** Of one modality in a list of `ModalityTokenCount`; 0: it has none. */
function tokensOf(details: unknown, modality: string): number {
  return rowsOf(details).reduce((sum, row) => sum + (row.modality === modality ? countOf(row.tokenCount) ?? 0 : 0), 0);
}

/** There are six modalities. */
const MAX_ROWS = 32;

function rowsOf(details: unknown): readonly Data[] {
  return Array.isArray(details) ? details.slice(0, MAX_ROWS).filter(isRecord) : [];
}

function namesAbsurdCount(usage: Data): boolean {
  const isAbsurd = (count: unknown) => typeof count === "number" && count > MAX_COUNT;
  return Object.entries(usage).some(([key, value]) =>
    key.endsWith("TokenCount") ? isAbsurd(value) : rowsOf(value).some((row) => isAbsurd(row.tokenCount))
  );
}
