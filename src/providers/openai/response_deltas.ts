import type { UsageReading } from "../../domain/reading.ts";
import { parsePlainDeltas, STRING_CONTENT } from "../plain_deltas.ts";

/** What the model says, thinks, and asks of tools. */
const KINDS = [
  ...["output_text", "reasoning_summary_text", "reasoning_text", "refusal"],
  ...["function_call_arguments", "custom_tool_call_input", "mcp_call_arguments", "code_interpreter_call_code"],
];

const COUNT = String.raw`(?:0|[1-9]\d*)`;
const WORD = String.raw`[^"\\\u0000-\u001f]*`;

/**
 * The other keys, in the order of the alphabet, as the API has written them since early 2026, and
 * in its order of 2025, which gateways keep. Each may be missing: not all deltas have all of them.
 */
const BEFORE = `(?:,"sequence_number":${COUNT})?(?:,"item_id":"${WORD}")?(?:,"output_index":${COUNT})?` +
  `(?:,"(?:content|summary)_index":${COUNT})?`;
const AFTER = String.raw`(?:,"item_id":"${WORD}")?(?:,"logprobs":\[\])?(?:,"obfuscation":"${WORD}")?` +
  `(?:,"output_index":${COUNT})?(?:,"sequence_number":${COUNT})?(?:,"summary_index":${COUNT})?`;

/**
 * A delta as the API spells it, which nearly all events are. It matches the event to its last
 * character, so no second `type` or `delta` and no word within the content can mislead.
 */
const PLAIN_DELTA = new RegExp(
  String.raw`event: response\.(?:${KINDS.map(spelled).join("|")})${BEFORE},"delta":"(${STRING_CONTENT})"${AFTER}\}\n\n`,
  "y",
);

function spelled(kind: string): string {
  return String.raw`${kind}\.delta\ndata: \{"type":"response\.${kind}\.delta"`;
}

/** Takes deltas up to the first event with any other spelling, which `parseStreamEvent` reads. */
export function parseResponseDeltas(
  reading: UsageReading,
  text: string,
  from: number,
): { readonly reading: UsageReading; readonly to: number } {
  return parsePlainDeltas(PLAIN_DELTA, reading, { text, from });
}
