import type { Outcome, TokenUsage } from "../../../domain/usage.ts";
import { Dollars, dollarsText, durationText, wholeText } from "../figures.tsx";

/** How an end is shown. */
export type Tone = "good" | "warn" | "bad" | "missing";

export const TONES: Readonly<Record<Outcome | "open", Tone>> = {
  completed: "good",
  client_left: "warn",
  upstream_error: "bad",
  upstream_broke: "bad",
  proxy_cut: "warn",
  stopped: "warn",
  unknown: "missing",
  open: "missing",
};

/** In bytes of HTML: names come from clients, and stand on a page many times. */
const LONGEST_NAME = 40;
const ESCAPED_BYTES = 6;

/** The name, or its beginning: what is cut is in the files. */
export function clipped(name: string): string {
  let bytes = 0;
  let kept = "";
  for (const character of name) {
    bytes += /[<>&"']/.test(character) ? ESCAPED_BYTES : character < "\x80" ? 1 : 3;
    if (bytes > LONGEST_NAME) return `${kept}…`;
    kept += character;
  }
  return name;
}

/** How each seller's models say that an answer is whole. */
const WHOLE_ENDS: readonly (string | undefined)[] = [
  ...["end_turn", "tool_use"],
  ...["completed", "stop", "tool_calls", "function_call"],
  "STOP",
];

/** `completed`, or the outcome with what the upstream or the proxy said of it. */
export function outcomeText({ outcome, errorType, stopReason }: TokenUsage): string {
  const why = errorType ?? (outcome === "completed" && !WHOLE_ENDS.includes(stopReason) ? stopReason : null);
  return why === undefined || why === null ? outcome : `${outcome}: ${clipped(why)}`;
}

export function OutcomeText({ call }: { readonly call: TokenUsage }) {
  const tone = TONES[call.outcome];
  return <span class={tone === "good" ? undefined : tone}>{outcomeText(call)}</span>;
}

/** The agent that made the call; main if it names none. */
export function agentText({ agentId, agentType, requestClass }: TokenUsage): string {
  const isOwn = requestClass === undefined || requestClass === "main" || requestClass === "subagent" ||
    requestClass === "workflow";
  const name = agentId === undefined ? "main" : clipped(agentType ?? agentId);
  return isOwn ? name : `${name}, ${clipped(requestClass)}`;
}

/** The upstream that took the call, and who bills it if its name does not say so. */
export function upstreamText({ upstream, provider }: TokenUsage): string {
  if (upstream === undefined) return `unnamed, of ${clipped(provider)}`;
  return upstream === provider ? clipped(upstream) : `${clipped(upstream)}, of ${clipped(provider)}`;
}

/** Null: a call of which no counts are known. */
export function tokensOrNull(call: TokenUsage, count: number): number | null {
  return call.accuracy === "unknown" ? null : count;
}

/** The store has 0 for what is not known. */
export function msOrNull(ms: number): number | null {
  return ms === 0 ? null : ms;
}

export function msText(ms: number): string {
  return ms === 0 ? "unknown" : durationText(ms);
}

export function CallCost({ call }: { readonly call: TokenUsage }) {
  if (call.accuracy === "unknown") return <span class="missing">cost unknown</span>;
  return (
    <>
      <Dollars nano={call.cost ?? null} />
      {call.accuracy === "estimated" ? <span class="warn">, estimated</span> : null}
      {call.unpricedUses === undefined ? null : <span class="warn">, partly priced</span>}
    </>
  );
}

export function costText(call: TokenUsage): string {
  if (call.accuracy === "unknown") return "cost unknown";
  if (call.cost === undefined) return "unpriced";
  return dollarsText(call.cost) + (call.accuracy === "estimated" ? ", estimated" : "");
}

/** Tokens by kind, in words. */
export function tokensText(call: TokenUsage): string {
  if (call.accuracy === "unknown") return "tokens unknown";
  return [
    `${wholeText(call.cacheReadInputTokens)} read from the cache`,
    `${wholeText(call.cacheCreationInputTokens)} written to it`,
    `${wholeText(call.inputTokens)} uncached`,
    `${wholeText(call.outputTokens)} output`,
  ].join(", ");
}

/** The place of a call on the page, for links within it. */
export function callAnchor(id: string): string {
  return `call-${id}`;
}
