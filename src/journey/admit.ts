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
  const { sandbox, asked, trace, world } = options;
  const headers = headersToKeep(arrival.request.headers);
  const call: OpenCall = {
    id: arrival.requestId,
    instanceId: world.instanceId,
    workspaceId: sandbox.workspaceId,
    sandboxId: sandbox.sandboxId,
    traceId: trace.id,
    kind: "message",
    provider: world.provider.name,
    requestedModel: cutClientString(asked.requestedModel),
    streaming: asked.isStreamed,
    createdAt: trace.updatedAt,
    maxTokens: asked.maxTokens,
    requestBytes: asked.body.length,
    messagesHash: asked.messagesHash,
    agentId: named(headers, "x-claude-code-agent-id"),
    parentAgentId: named(headers, "x-claude-code-parent-agent-id"),
    agentType: named(headers, "x-claude-code-agent-type"),
    requestClass: named(headers, "x-claude-code-request-class"),
    promptId: named(headers, "x-claude-code-prompt-id"),
    client: clientOf(headers.get("user-agent")),
    tokenId: sandbox.tokenId,
    credentialId: options.credential.id,
  };
  return { call, isRecorded: await world.ledger.open(call, trace) === "opened" };
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
