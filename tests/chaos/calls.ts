/**
 * The calls of a chaos run: each has a number, by which it is known on every side, and counts that
 * no other call has.
 */
import { type Answer, eventStream, failing, json, paced, type SeenCall } from "../fake_answers.ts";
import { type FakeUsage, messageBody, messageEvents } from "../fake_messages.ts";

/** Goes into the row as it is: `prompt_id` says which call a row is of. */
export const NUMBER_HEADER = "x-claude-code-prompt-id";
export const TRACE_HEADER = "x-trace-id";

/** Calls whose number is divisible by this are answered with 529. */
const OVERLOADED_EVERY = 17;
const MODELS = ["claude-haiku-4-5", "claude-opus-4-8"] as const;
const DELTAS = 6;

export interface Counts {
  readonly input: number;
  readonly output: number;
  readonly cacheCreation: number;
  readonly cacheRead: number;
}

export const NOTHING: Counts = { input: 0, output: 0, cacheCreation: 0, cacheRead: 0 };

export function countsOfCall(number: number): Counts {
  return { input: number, output: 3 * number + 1, cacheCreation: 5 * number + 2, cacheRead: 7 * number + 3 };
}

export function messageIdOf(number: number): string {
  return `msg_chaos_${number}`;
}

export function modelOf(number: number): string {
  return MODELS[number % MODELS.length]!;
}

export function isOverloaded(number: number): boolean {
  return number % OVERLOADED_EVERY === 0;
}

export function numberOf(call: SeenCall): number {
  return Number(call.header(NUMBER_HEADER));
}

/**
 * How the upstream answers: at once, or over some hundred milliseconds, so that a kill finds calls
 * at every stage.
 */
export async function chaosAnswer(call: SeenCall): Promise<Answer> {
  const number = numberOf(call);
  if (isOverloaded(number)) return failing(529)(call);
  const message = { id: messageIdOf(number), model: modelOf(number), usage: usageOfCall(number), deltas: DELTAS };
  const paceMs = number % 5 * 5;
  if ((call.json() as { readonly stream?: unknown } | null)?.stream === true) {
    return eventStream(paced(messageEvents(message), { paceMs, gone: call.gone }));
  }
  await new Promise((resolve) => setTimeout(resolve, DELTAS * paceMs));
  return json(messageBody(message));
}

function usageOfCall(number: number): FakeUsage {
  const { input, output, cacheCreation, cacheRead } = countsOfCall(number);
  return {
    input_tokens: input,
    output_tokens: output,
    cache_creation_input_tokens: cacheCreation,
    cache_read_input_tokens: cacheRead,
    cache_creation: { ephemeral_5m_input_tokens: 2 * number + 1, ephemeral_1h_input_tokens: 3 * number + 1 },
    service_tier: "standard",
  };
}
