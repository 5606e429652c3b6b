import type { Fields } from "../domain/header_fields.ts";
import type { AgentNames, Client } from "../domain/client.ts";
import { generateTraceId } from "../domain/ids.ts";
import type { CallDialect } from "../domain/provider.ts";
import { MAX_TRACE_ID_LENGTH, type Trace } from "../domain/trace.ts";
import { hashFirstElement } from "../wire/first_element.ts";
import type { Caller } from "./authenticate.ts";
import { agentNames, clientOf, namedSessions, type Sender } from "./clients.ts";
import { headersWithout, unlessSecret } from "./token_filter.ts";
import type { RequestFacts } from "./read.ts";
import { isInferredId, traceIdOf } from "./sessions.ts";
import type { Deps, IncomingCall } from "./deps.ts";

/** What a call belongs to, and which of its client's agents makes it. */
export interface Belonging {
  readonly trace: Trace;
  readonly client: string | null;
  readonly agent: AgentNames;
}

export interface CallToPlace {
  readonly incoming: Pick<IncomingCall, "request"> & { readonly dialect?: CallDialect };
  /** Null: the body is not read, because it has no row. */
  readonly asked: Pick<RequestFacts, "userId" | "metadata" | "messages" | "continued" | "body"> | null;
  readonly caller: Caller;
}

/**
 * The session of a call: the one that its client names, otherwise that of the response or
 * conversation that it goes on with, otherwise one inferred from its first message, otherwise a new
 * one. A sub-agent that has a session of its own belongs to its starter's session.
 */
export async function belongingOf(call: CallToPlace, deps: Deps): Promise<Belonging> {
  const sender = senderOf(call);
  const { clients } = deps;
  const client = clientOf(sender, clients);
  const names = namesWithout(agentNames(sender, clients), call.caller.token);
  const clue = extractTraceId(sender, { traceHeader: deps.traceHeader, clients, token: call.caller.token });
  if (clue === null) {
    const before = continuedId(call) ?? await inferredId(call, { client, deps });
    const found = before ?? { id: generateTraceId(deps.newId), source: "auto" };
    return { trace: newTrace(call, { ...found, deps }), client, agent: names };
  }
  if (clue.child === null) return { trace: newTrace(call, { ...clue, deps }), client, agent: names };
  const { workspaceId, sandboxId } = call.caller.sandbox;
  const { session, parent } = clue.child;
  const root = await deps.sessions.rootOf({ workspaceId, sandboxId, session, parent }, deps.now());
  const id = clue.source === "header" ? clue.id : root.traceId;
  const agent = { ...names, agentId: session, parentAgentId: root.isParentMain ? null : parent };
  return { trace: newTrace(call, { ...clue, id, deps }), client, agent };
}

/** Whether a call without a row belongs to a session: one that its headers name. */
export function namesSession(
  headers: Fields,
  { token, deps: { traceHeader, clients } }: { readonly token: string; readonly deps: Deps },
): boolean {
  return extractTraceId({ headers, userId: undefined }, { traceHeader, clients, token }) !== null;
}

/** Where a trace id was found, and the session of the sub-agent that calls, if it is one. */
export interface TraceClue {
  readonly id: string;
  readonly source: string;
  readonly child: { readonly session: string; readonly parent: string } | null;
}

/**
 * The trace id that the client named: the trace header as given, otherwise the first session in the
 * order of the clients. Ignores an id that is not 1 to 128 visible ASCII characters, that holds the
 * proxy token, or that the proxy itself could have inferred, and looks for another.
 */
export function extractTraceId(
  sender: Sender,
  { traceHeader, clients, token }: {
    readonly traceHeader: string;
    readonly clients: readonly Client[];
    readonly token: string;
  },
): TraceClue | null {
  const accepts = (id: string) => unlessSecret(id, [token]) !== null && isTraceId(id);
  const named = namedSessions(sender, clients).find(({ session }) => accepts(traceIdOf(session)));
  const parent = named?.parent ?? null;
  const isChild = named !== undefined && parent !== null && accepts(traceIdOf(parent));
  const child = isChild ? { session: named.session, parent } : null;
  const header = sender.headers.get(traceHeader);
  if (header !== null && accepts(header)) return { id: header, source: "header", child };
  return named === undefined ? null : { id: traceIdOf(named.session), source: named.source, child };
}

function isTraceId(id: string): boolean {
  return id.length <= MAX_TRACE_ID_LENGTH && /^[\x21-\x7e]+$/.test(id) && !isInferredId(id);
}

function senderOf({ incoming: { request }, asked, caller }: CallToPlace): Sender {
  const headers = headersWithout(request.headers, [caller.token]);
  return { headers, userId: asked === null ? undefined : asked.userId, metadata: asked?.metadata ?? null };
}

/** A body may spell the token in a way that only its parsed values show. */
function namesWithout(names: AgentNames, token: string): AgentNames {
  const clean = Object.entries(names).map(([column, name]) => [column, unlessSecret(name, [token])] as const);
  return Object.fromEntries(clean) as unknown as AgentNames;
}

function continuedId({ asked }: CallToPlace): Pick<Trace, "id" | "source"> | null {
  const id = asked?.continued ?? null;
  return id === null ? null : { id, source: "continued" };
}

async function inferredId(
  { incoming: { dialect }, caller: { sandbox }, asked }: CallToPlace,
  { client, deps }: { readonly client: string | null; readonly deps: Deps },
): Promise<Pick<Trace, "id" | "source"> | null> {
  if (dialect === undefined || asked === null || asked.messages === null || !deps.sessions.infers) return null;
  const firstMessage = await hashFirstElement(asked.body.bytes, {
    range: asked.messages,
    without: dialect.request.cacheMarkKey,
  });
  if (firstMessage === null) return null;
  const { workspaceId, sandboxId } = sandbox;
  return { id: await deps.sessions.inferred({ workspaceId, sandboxId, client, firstMessage }, deps.now()), source: "inferred" };
}

function newTrace(
  { caller: { sandbox } }: CallToPlace,
  { id, source, deps }: Pick<Trace, "id" | "source"> & { readonly deps: Deps },
): Trace {
  const now = deps.now();
  return { id, source, sandboxId: sandbox.sandboxId, workspaceId: sandbox.workspaceId, createdAt: now, updatedAt: now };
}
