import type { OpenCall } from "../domain/usage.ts";
import type { Credential } from "../domain/provider.ts";
import { cutClientString } from "../domain/text.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import type { RequestFacts } from "./read.ts";
import type { Belonging } from "./trace.ts";
import type { Deps, IncomingCall } from "./deps.ts";

/** A call that may go upstream. */
export interface Admitted {
  readonly call: OpenCall;
  /** False where the spool is full and the operator chose to serve on: the call has no row, only a log line. */
  readonly isRecorded: boolean;
}

/**
 * Opens the call's row and resolves when it is committed: nothing goes upstream before.
 * Rejects with `Fault` `ledger_unavailable`.
 */
export async function admit(
  arrival: IncomingCall,
  options: {
    readonly sandbox: Sandbox;
    readonly asked: RequestFacts;
    readonly belonging: Belonging;
    readonly credential: Credential;
    readonly deps: Deps;
  },
): Promise<Admitted> {
  const { asked, belonging, deps } = options;
  const call: OpenCall = {
    ...calledBy(arrival, options),
    kind: "message",
    requestedModel: cutClientString(asked.requestedModel),
    streaming: asked.isStreamed,
    maxTokens: asked.maxTokens,
    requestBytes: asked.body.length,
    messagesHash: asked.messagesHash,
  };
  return { call, isRecorded: await deps.ledger.open(call, belonging.trace) === "opened" };
}

/** What a row has of who called and when; the rest is for a caller that has read the body, or makes the rows of a batch's lines. */
export function calledBy(
  arrival: IncomingCall,
  { sandbox, belonging, credential, deps }: {
    readonly sandbox: Sandbox;
    readonly belonging: Belonging;
    readonly credential: Credential;
    readonly deps: Deps;
  },
): OpenCall {
  const { trace, client, agent } = belonging;
  return {
    id: arrival.requestId,
    instanceId: deps.instanceId,
    workspaceId: sandbox.workspaceId,
    sandboxId: sandbox.sandboxId,
    traceId: trace.id,
    kind: "batch_line",
    provider: deps.provider.name,
    requestedModel: "",
    streaming: false,
    createdAt: trace.updatedAt,
    maxTokens: null,
    requestBytes: 0,
    messagesHash: null,
    agentId: cut(agent.agentId),
    parentAgentId: cut(agent.parentAgentId),
    agentType: cut(agent.agentType),
    requestClass: cut(agent.requestClass),
    promptId: cut(agent.promptId),
    client: cut(client),
    tokenId: sandbox.tokenId,
    credentialId: credential.id,
    batchId: null,
    customId: null,
  };
}

function cut(clientString: string | null): string | null {
  return clientString === null ? null : cutClientString(clientString);
}
