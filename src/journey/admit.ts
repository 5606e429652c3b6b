import type { Trace } from "../domain/trace.ts";
import type { OpenCall } from "../domain/usage.ts";
import type { Credential } from "../domain/provider.ts";
import { cutClientString } from "../domain/text.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import { headersToKeep } from "./discretion.ts";
import type { Asked } from "./read.ts";
import type { Arrival, World } from "./world.ts";

/** A call that may go upstream. */
export interface Admitted {
  readonly call: OpenCall;
  /** False where the journal is full and the operator chose to serve on: the call has no row, only a log line. */
  readonly isRecorded: boolean;
}

/**
 * Opens the call's row and resolves when it is committed: nothing goes upstream before.
 * Rejects with `Fault` `ledger_unavailable`.
 */
export async function admit(
  arrival: Arrival,
  options: {
    readonly sandbox: Sandbox;
    readonly asked: Asked;
    readonly trace: Trace;
    readonly credential: Credential;
    readonly world: World;
  },
): Promise<Admitted> {
  const { asked, trace, world } = options;
  const call: OpenCall = {
    ...calledBy(arrival, options),
    kind: "message",
    requestedModel: cutClientString(asked.requestedModel),
    streaming: asked.isStreamed,
    maxTokens: asked.maxTokens,
    requestBytes: asked.body.length,
    messagesHash: asked.messagesHash,
  };
  return { call, isRecorded: await world.ledger.open(call, trace) === "opened" };
}

/** What a row has of who called and when; the rest is for a caller that has read the body, or makes the rows of a batch's lines. */
export function calledBy(
  arrival: Arrival,
  { sandbox, trace, credential, world }: {
    readonly sandbox: Sandbox;
    readonly trace: Trace;
    readonly credential: Credential;
    readonly world: World;
  },
): OpenCall {
  const headers = headersToKeep(arrival.request.headers);
  return {
    id: arrival.requestId,
    instanceId: world.instanceId,
    workspaceId: sandbox.workspaceId,
    sandboxId: sandbox.sandboxId,
    traceId: trace.id,
    kind: "batch_line",
    provider: world.provider.name,
    requestedModel: "",
    streaming: false,
    createdAt: trace.updatedAt,
    maxTokens: null,
    requestBytes: 0,
    messagesHash: null,
    agentId: named(headers, "x-claude-code-agent-id"),
    parentAgentId: named(headers, "x-claude-code-parent-agent-id"),
    agentType: named(headers, "x-claude-code-agent-type"),
    requestClass: named(headers, "x-claude-code-request-class"),
    promptId: named(headers, "x-claude-code-prompt-id"),
    client: clientOf(headers.get("user-agent")),
    tokenId: sandbox.tokenId,
    credentialId: credential.id,
    batchId: null,
    customId: null,
  };
}

/** The client's name, by the product that its user agent begins with: a new client is one row. */
const CLIENTS: readonly (readonly [product: RegExp, client: string])[] = [
  [/^claude-cli\//, "claude-code"],
  [/^opencode\//, "opencode"],
  [/^codex/, "codex"],
  [/^Anthropic\/JS /, "anthropic-sdk-js"],
  [/^Anthropic\/Python /, "anthropic-sdk-python"],
];

function clientOf(userAgent: string | null): string | null {
  if (userAgent === null || userAgent === "") return null;
  const known = CLIENTS.find(([product]) => product.test(userAgent));
  return known?.[1] ?? cutClientString(/^[^\s/]+/.exec(userAgent)?.[0] ?? userAgent);
}

function named(headers: Pick<Headers, "get">, name: string): string | null {
  const value = headers.get(name);
  return value === null || value === "" ? null : cutClientString(value);
}
