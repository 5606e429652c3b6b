import { type BilledCall, type Billing, type CallOutcome, isRefusedBeforeOutput, type Priced } from "../../domain/price.ts";
import { atLeastNothing, countOf, smaller } from "../token_counts.ts";

/** How Claude is billed by each of its sellers. */
export const CLAUDE = {
  callsOf,
  kinds: ["input", "write5m", "write1h", "read", "output"],
  tokensOf: topLevelOf,
} as const satisfies Partial<Billing>;

/** Every token costs more if the model runs in one place only, and less in a batch. */
export const CLAUDE_API = {
  ...CLAUDE,
  seller: { name: "Anthropic", service: "Claude API" },
  billsInterrupted: false,
  namesOf: (served) => [baseModel(served)],
  // What a commitment to `priority` costs is agreed elsewhere.
  serviceTiers: new Map([["standard", "standard"], ["priority", "standard"], ["batch", "batch"]]),
  factors: { geoPercent: { us: 110 }, batchPercent: 50 },
  billsRefusalsAsListed: true,
} as const satisfies Billing;

/**
 * A model id without its release: `claude-sonnet-4-5-20250929` and `-latest` mean
 * `claude-sonnet-4-5`. Google Cloud writes the date behind an @.
 */
export function baseModel(model: string): string {
  return model.replace(/(-|@(?=\d))(20\d{6}|latest)$/, "");
}

type Tokens = Required<Pick<BilledCall, "input" | "write5m" | "write1h" | "read" | "output">>;
type Iteration = Priced["iterations"][number];

/** The iterations whose tokens the top-level counts leave out. */
const OUTSIDE_THE_TOP_LEVEL = ["compaction", "advisor_message"];
const NOTHING: Tokens = { input: 0n, write5m: 0n, write1h: 0n, read: 0n, output: 0n };

/**
 * The calls that a row is paid for. Each iteration is one, at its own model (the served one if it
 * names none) and with its own prompt. What the top-level counts have beyond them is one more call
 * of the served model. So a row without iterations is one call, and no token of the top level goes
 * unpaid.
 *
 * What the top level holds of the iterations differs by their type, and is never more than their
 * sum:
 * - a loop of server tools: the sum of its `message` entries;
 * - with an advisor: the outputs of all `message` entries, the input of the first, and nothing of
 *   the `advisor_message` entries
 *   (https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool, "Usage and
 *   billing");
 * - with a fallback: the attempt that answered. The `message` entries of those that declined are
 *   not in it; if they declined before any output, they are billed by their category
 *   (https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback, "Billing and rate
 *   limits");
 * - nothing of a `compaction` (`BetaUsage.iterations` in SDK 1.12.0).
 *
 * The top level has more only if the list is not whole: it is cut at a hundred entries, and a
 * stream may break before it.
 */
function callsOf(priced: Priced): readonly BilledCall[] {
  const top = topLevelOf(priced);
  const outcome = isRefusedBeforeOutput(priced) ? "refused" : "answered";
  if (priced.iterations.length === 0) return [{ ...top, model: priced.servedModel, prompt: promptOf(top), outcome }];
  const { calls, inside } = iterationsOf(priced, top);
  const beyond = beyondOf(top, inside);
  const rest: BilledCall = { ...beyond, model: priced.servedModel, prompt: promptOf(top), outcome };
  return promptOf(beyond) + beyond.output > 0n ? [...calls, rest] : calls;
}

function topLevelOf(priced: Priced): Tokens {
  const fiveMinutes = countOf(priced.cacheCreation5mTokens);
  const oneHour = countOf(priced.cacheCreation1hTokens);
  const writes = countOf(priced.cacheCreationInputTokens) || fiveMinutes + oneHour;
  return {
    input: countOf(priced.inputTokens),
    ...splitOf(writes, oneHour),
    read: countOf(priced.cacheReadInputTokens),
    output: countOf(priced.outputTokens),
  };
}

/** `inside` is the sum of those that the top level holds too. */
function iterationsOf(priced: Priced, top: Tokens): { readonly calls: readonly BilledCall[]; readonly inside: Tokens } {
  let inside = NOTHING;
  // If only the top level names the split, entries without one share what the others leave of it.
  let unnamed1h = top.write1h;
  for (const entry of priced.iterations) if (isInside(entry)) unnamed1h -= splitNamedBy(entry)?.oneHour ?? 0n;
  const calls = priced.iterations.map((entry, place): BilledCall => {
    const split = splitNamedBy(entry);
    const writes = countOf(entry.cache_creation_input_tokens) || (split?.sum ?? 0n);
    const shared1h = isInside(entry) ? smaller(writes, atLeastNothing(unnamed1h)) : 0n;
    if (split === null) unnamed1h -= shared1h;
    const tokens: Tokens = {
      input: countOf(entry.input_tokens),
      ...splitOf(writes, split?.oneHour ?? shared1h),
      read: countOf(entry.cache_read_input_tokens),
      output: countOf(entry.output_tokens),
    };
    if (isInside(entry)) inside = sumOf(inside, tokens);
    const outcome = tokens.output === 0n ? outcomeOf(priced, place) : "answered";
    return { ...tokens, model: modelOf(entry) ?? priced.servedModel, prompt: promptOf(tokens), outcome };
  });
  return { calls, inside };
}

/** Of an iteration without output. A row that was declined names its own attempt last. */
function outcomeOf(priced: Priced, place: number): CallOutcome {
  const { iterations } = priced;
  const isOwn = isInside(iterations[place]!) && place === iterations.findLastIndex(isInside);
  if (isOwn) return isRefusedBeforeOutput(priced) ? "refused" : "answered";
  const hasSuccessor = iterations.some(({ type }, n) => n > place && type === "fallback_message");
  return iterations[place]!.type === "message" && hasSuccessor ? "passed_on" : "answered";
}

/** What the 1-hour part leaves of the writes is 5-minute, even if the wire's split names less. */
function splitOf(writes: bigint, oneHour: bigint): Pick<Tokens, "write5m" | "write1h"> {
  const write1h = smaller(oneHour, writes);
  return { write5m: writes - write1h, write1h };
}

/** If the splits differ, that of the iterations holds; the top level adds only what is missing. */
function beyondOf(top: Tokens, inside: Tokens): Tokens {
  const writes = atLeastNothing(top.write5m + top.write1h - inside.write5m - inside.write1h);
  return {
    input: atLeastNothing(top.input - inside.input),
    ...splitOf(writes, atLeastNothing(top.write1h - inside.write1h)),
    read: atLeastNothing(top.read - inside.read),
    output: atLeastNothing(top.output - inside.output),
  };
}

function splitNamedBy(entry: Iteration): { readonly oneHour: bigint; readonly sum: bigint } | null {
  const split = entry.cache_creation;
  if (typeof split !== "object" || split === null) return null;
  const named = split as Readonly<Record<string, unknown>>;
  const oneHour = countOf(named.ephemeral_1h_input_tokens);
  const sum = oneHour + countOf(named.ephemeral_5m_input_tokens);
  return sum === 0n ? null : { oneHour, sum };
}

/** An unknown type counts as inside, so that a whole list has nothing beyond it to pay twice. */
function isInside(entry: Iteration): boolean {
  return !OUTSIDE_THE_TOP_LEVEL.some((type) => type === entry.type);
}

function modelOf(entry: Iteration): string | null {
  return typeof entry.model === "string" && entry.model !== "" ? entry.model : null;
}

function promptOf(tokens: Tokens): bigint {
  return tokens.input + tokens.write5m + tokens.write1h + tokens.read;
}

function sumOf(a: Tokens, b: Tokens): Tokens {
  return {
    input: a.input + b.input,
    write5m: a.write5m + b.write5m,
    write1h: a.write1h + b.write1h,
    read: a.read + b.read,
    output: a.output + b.output,
  };
}
