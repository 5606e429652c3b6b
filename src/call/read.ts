import { Fault, type FaultCode } from "../domain/fault.ts";
import { OWNED_ID } from "../domain/owned.ts";
import type { BodyFacts, RequestDialect } from "../domain/provider.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import type { Upstream } from "../domain/upstream.ts";
import { BodyError, type BodyProblem, declaredLength, hashOf, type HeldBody, readBody } from "../wire/body.ts";
import type { Caller } from "./authenticate.ts";
import { assertHasKeys, BodyScan } from "./body_scan.ts";
import type { Deps, IncomingBilled } from "./deps.ts";
import { assertOwnThings, namedIn } from "./ownership.ts";
import { refusedTo } from "./refusals.ts";
import { unlessSecret } from "./token_filter.ts";

/** The body's bytes, held, and what the proxy needs to know of it. */
export interface RequestFacts {
  readonly body: HeldBody;
  /** How long the client took to send its body, milliseconds: the proxy does not answer for it. */
  readonly arrivalMs: number;
  /** Empty if the body names no model; null if the name holds the proxy token. */
  readonly requestedModel: string | null;
  readonly isStreamed: boolean;
  readonly maxTokens: number | null;
  readonly speed: string | null;
  readonly inferenceGeo: string | null;
  readonly isCompressed: boolean;
  readonly namesFiles: boolean;
  /** What the body says of its user, unless that holds the proxy token. */
  readonly userId: string | null;
  /** What a client says of itself in an object of its own, secrets too; null: nothing. */
  readonly metadata: Readonly<Record<string, unknown>> | null;
  /** The trace of what the call goes on with, such as an earlier response; null: of nothing. */
  readonly continued: string | null;
  /** SHA-256 of the bytes of the messages, hex; null without messages or in a compressed body. */
  readonly messagesHash: string | null;
  /** The place of the messages in the body; null as for their hash. */
  readonly messages: { readonly start: number; readonly end: number } | null;
  /** As `assertOwnThings` resolves. */
  readonly heldBy: string | null;
  readonly upstream: Upstream;
  /** As the body has it, secrets too: not for a row. */
  readonly asked: BodyFacts;
}

/**
 * Reads the request's body within its limits and finds the few facts that are needed. Whether it is
 * JSON is for the upstream to say. Rejects with a `Fault` of `PROBLEMS`, `body_opaque`,
 * `model_not_allowed`, those of `Provider.placed`, `RequestDialect.unreadable` and `unmetered`, or
 * `not_owned` if the body names what is another workspace's.
 */
export async function read(incoming: IncomingBilled, { sandbox, token }: Caller, deps: Deps): Promise<RequestFacts> {
  const { headers, body: stream } = incoming.request;
  const { dialect: { request }, provider, target } = incoming;
  const { maxBodyBytes, keys, messagesKey, factsOf } = request;
  const { owned } = provider;
  const scan = new BodyScan(headers.get("content-encoding") ?? "", {
    maxDecodedBytes: maxBodyBytes,
    owned: request.refersToNoItems ? { keys: owned.keys, prefixes: owned.prefixes } : owned,
    keys: [...keys, messagesKey],
  });
  const startedAt = deps.elapsed();
  let body: HeldBody | null = null;
  let userId: string | null | undefined;
  try {
    assertHasKeys(headers.get("content-type"));
    body = await readBody(stream, {
      declared: declaredLength(headers),
      maxBytes: maxBodyBytes,
      deadlineMs: deps.bodyDeadlineMs,
      budget: deps.budget,
      holder: JSON.stringify([sandbox.workspaceId, sandbox.sandboxId]),
    });
    const arrivalMs = deps.elapsed() - startedAt;
    const { found } = await scan.readWhole(body.bytes);
    const messages = scan.isEncoded ? null : found.get(messagesKey) ?? null;
    const values = new Map(keys.map((key) => [key, found.get(key)?.value]));
    const messagesHash = messages === null ? null : await questionHash(body.bytes, { messages, values, request });
    const asked = factsOf(values, target);
    const unreadable = request.unreadable?.(asked) ?? null;
    if (unreadable !== null) throw unreadable;
    const kept = keptFacts(asked, [token, ...incoming.ownCredentials]);
    userId = kept.userId;
    const things = [...scan.takeIds(), ...namedIn(target, provider).things];
    const { heldBy, isAny: namesFiles } = await assertOwnThings({ things, items: scan.items }, { sandbox, provider, deps });
    const continued = await traceOfOwn(request.continues?.(values) ?? null, { sandbox, deps });
    const upstream = deps.upstreams.forCall(provider, { workspaceId: sandbox.workspaceId, model: asked.model, heldBy });
    const placed = provider.placed?.(target, upstream.place);
    if (placed instanceof Fault) throw placed;
    const unmetered = upstream.isStrict ? request.unmetered?.(values) ?? null : null;
    if (unmetered !== null) throw unmetered;
    const isCompressed = scan.isEncoded;
    const metadata = request.metadataOf?.(values) ?? null;
    const read = { messages, messagesHash, metadata, continued, heldBy, upstream, asked, isCompressed, namesFiles };
    return { body, arrivalMs, ...read, ...kept };
  } catch (error) {
    body?.release();
    scan.close();
    throw refusedTo(bodyFault(error), { sandbox, userId });
  }
}

/** The refusal that a problem with the body calls for; any other error is returned as it is. */
export function bodyFault(error: unknown): unknown {
  if (!(error instanceof BodyError)) return error;
  const [code, message] = PROBLEMS[error.problem];
  return new Fault(code, message, { cause: error });
}

const PROBLEMS: Record<BodyProblem, readonly [FaultCode, string]> = {
  too_large: ["body_too_large", "The request's body is larger than this endpoint takes."],
  too_slow: ["body_timeout", "The request's body did not arrive in time."],
  cut: ["body_cut", "The request's body ended before its declared length."],
  no_room: ["overloaded", "This sandbox has too many requests waiting. Ask again in a moment."],
};

/** The trace in which the workspace's own thing was made; null if that is unknown. */
async function traceOfOwn(
  id: string | null,
  { sandbox: { workspaceId }, deps: { owners } }: { readonly sandbox: Sandbox; readonly deps: Pick<Deps, "owners"> },
): Promise<string | null> {
  if (id === null || !OWNED_ID.test(id)) return null;
  const owner = (await owners.ownersOf([id], { mayMiss: true })).get(id);
  return owner?.workspaceId === workspaceId ? owner.traceId : null;
}

/** Of the messages, with all else that makes them another question. */
async function questionHash(
  bytes: Uint8Array<ArrayBuffer>,
  { messages: { start, end }, values, request: { alsoAsked = [] } }: {
    readonly messages: { readonly start: number; readonly end: number };
    readonly values: ReadonlyMap<string, unknown>;
    readonly request: RequestDialect;
  },
): Promise<string> {
  const hash = await hashOf(bytes.subarray(start, end));
  const others = alsoAsked.map((key) => values.get(key));
  if (others.every((value) => value === undefined)) return hash;
  return await hashOf(new TextEncoder().encode(JSON.stringify([hash, ...others])));
}

function keptFacts({ model, userId, ...plain }: BodyFacts, secrets: readonly string[]) {
  return { ...plain, requestedModel: unlessSecret(model, secrets), userId: unlessSecret(userId, secrets) };
}
