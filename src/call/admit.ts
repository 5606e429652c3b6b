import type { Credential, Upstream } from "../domain/upstream.ts";
import { cutClientString } from "../domain/text.ts";
import type { Trace } from "../domain/trace.ts";
import { type OpenCall, UNSAID } from "../domain/usage.ts";
import type { Caller } from "./authenticate.ts";
import { LiveCall } from "./live_call.ts";
import { PendingCall } from "./pending_call.ts";
import type { RequestFacts } from "./read.ts";
import { OpenRow } from "./record.ts";
import { refusedTo } from "./refusals.ts";
import { reserve } from "./reservation.ts";
import { headersWithout } from "./token_filter.ts";
import type { Belonging } from "./trace.ts";
import type { Deps, IncomingBilled, IncomingCall } from "./deps.ts";

/**
 * Chooses the credential, reserves what the call may use in its limits, opens its row, and resolves
 * when that is committed: nothing goes upstream before. The live call then owns the body's room;
 * without a live call, the room is freed here. While it waits it can be stopped.
 * Rejects with `Fault` `ledger_unavailable`, as `Credentials.forCall` and `reserve` do, or with
 * that of a stop, `client_left` or `draining`.
 */
export async function admit(
  { incoming, caller, facts: read, trace }: {
    readonly incoming: IncomingBilled;
    readonly caller: Caller;
    readonly facts: RequestFacts;
    readonly trace: Promise<Belonging>;
  },
  deps: Deps,
): Promise<LiveCall> {
  const { userId, upstream, body: { release } } = read;
  const requestedModel = cutClientString(read.requestedModel ?? "");
  let pending: PendingCall | null = null;
  try {
    const belonging = await trace;
    pending = new PendingCall({ incoming, caller, belonging, upstream, requestedModel }, deps);
    pending.throwIfStopped();
    const { signal } = pending;
    const waitsFrom = deps.elapsed();
    const credential = await credentialFor(belonging, { signal, caller, requestedModel, facts: read });
    const facts = placedBy(credential, read, incoming);
    const call: OpenCall = {
      ...calledBy(incoming, { caller, belonging, upstream, credential, deps }),
      kind: "message",
      requestedModel,
      streaming: facts.isStreamed,
      maxTokens: facts.maxTokens,
      requestBytes: facts.body.length,
      messagesHash: facts.messagesHash,
    };
    const { hold, opened, waitedMs } = await opening(call, belonging.trace, { incoming, facts, signal, waitsFrom, deps })
      .catch((error) => {
        upstream.credentials.unsent(credential);
        throw error;
      });
    const row = new OpenRow(call, {
      dialect: incoming.dialect,
      asked: facts.asked,
      hold,
      isRecorded: opened === "opened",
      hidesModel: facts.requestedModel === null,
      clientIp: incoming.clientIp,
      upstreamUrl: credential.baseUrl,
      span: deps.observe.callBegan(call, headersWithout(incoming.request.headers, [caller.token])),
      startedAt: incoming.arrivedAt + facts.arrivalMs + waitedMs,
      deps,
    });
    const readsOnMs = facts.isStreamed ? upstream.readOnMs : upstream.drainAfterLeftMs;
    const live = new LiveCall({ incoming, caller, userId, upstream, credential, row, readsOnMs, release }, deps);
    // Stopped while its row was being opened.
    if (pending.why !== null) live.stop(pending.why);
    return live;
  } catch (error) {
    release();
    throw refusedTo(error, { sandbox: caller.sandbox, userId });
  } finally {
    pending?.end();
  }
}

/** The host may decide where the call runs, which decides its price. */
function placedBy({ baseUrl }: Credential, facts: RequestFacts, { dialect: { request } }: IncomingBilled): RequestFacts {
  const inferenceGeo = facts.inferenceGeo ?? request.geoOf?.(baseUrl) ?? null;
  return inferenceGeo === facts.inferenceGeo ? facts : { ...facts, inferenceGeo, asked: { ...facts.asked, inferenceGeo } };
}

/** Reserves, and commits the open row. */
async function opening(
  call: OpenCall,
  trace: Trace,
  { incoming, facts, signal, waitsFrom, deps }: {
    readonly incoming: IncomingBilled;
    readonly facts: RequestFacts;
    readonly signal: AbortSignal;
    /** In `elapsed` time. */
    readonly waitsFrom: number;
    readonly deps: Deps;
  },
) {
  const hold = await reserve(call, { incoming, facts, signal }, deps);
  const waitedMs = deps.elapsed() - waitsFrom;
  try {
    return { hold, waitedMs, opened: await deps.ledger.open(call, trace) };
  } catch (error) {
    hold?.release();
    throw error;
  }
}

/** As `Credentials.forCall`. */
function credentialFor(
  { trace, agent }: Belonging,
  { signal, caller: { sandbox }, requestedModel, facts: { heldBy, upstream } }: Pick<OpenCall, "requestedModel"> & {
    readonly signal: AbortSignal;
    readonly caller: Caller;
    readonly facts: RequestFacts;
  },
): Promise<Credential> {
  const { workspaceId, sandboxId } = sandbox;
  const call = { workspaceId, sandboxId, traceId: trace.id, requestedModel, requestClass: agent.requestClass, heldBy };
  return upstream.credentials.forCall(call, signal);
}

/** The part of a row that is known without the body. Each line of a batch starts from it. */
export function calledBy(
  incoming: IncomingCall,
  { caller: { sandbox }, belonging: { trace, client, agent }, upstream, credential, deps }: {
    readonly caller: Caller;
    readonly belonging: Belonging;
    readonly upstream: Upstream;
    readonly credential: Credential;
    readonly deps: Deps;
  },
): OpenCall {
  return {
    id: incoming.requestId,
    instanceId: deps.instanceId,
    workspaceId: sandbox.workspaceId,
    sandboxId: sandbox.sandboxId,
    traceId: trace.id,
    kind: "batch_line",
    provider: upstream.seller,
    requestedModel: "",
    streaming: false,
    createdAt: trace.updatedAt,
    maxTokens: null,
    requestBytes: 0,
    ...UNSAID,
    agentId: cut(agent.agentId),
    parentAgentId: cut(agent.parentAgentId),
    agentType: cut(agent.agentType),
    requestClass: cut(agent.requestClass),
    promptId: cut(agent.promptId),
    client: cut(client),
    tokenId: sandbox.tokenId,
    credentialId: credential.id,
    upstream: upstream.name,
  };
}

function cut(clientString: string | null): string | null {
  return clientString === null ? null : cutClientString(clientString);
}
