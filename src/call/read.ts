import { Fault, type FaultCode } from "../domain/fault.ts";
import type { BodyFacts } from "../domain/provider.ts";
import { BodyError, type BodyProblem, declaredLength, hashOf, type HeldBody, readBody } from "../wire/body.ts";
import type { Caller } from "./authenticate.ts";
import { BodyScan } from "./body_scan.ts";
import type { Deps, IncomingCall } from "./deps.ts";
import { assertOwnFiles } from "./ownership.ts";
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
  /** SHA-256 of the bytes of the messages, hex; null without messages or in a compressed body. */
  readonly messagesHash: string | null;
  /** The place of the messages in the body; null as for their hash. */
  readonly messages: { readonly start: number; readonly end: number } | null;
  /** As `assertOwnFiles` resolves. */
  readonly heldBy: string | null;
}

/**
 * Reads the request's body within its limits and finds the few facts that are needed. Whether it is
 * JSON is for the upstream to say. Rejects with a `Fault` of `PROBLEMS`, `body_opaque`, or
 * `not_owned` if the body names another workspace's file.
 */
export async function read(incoming: IncomingCall, { sandbox, token }: Caller, deps: Deps): Promise<RequestFacts> {
  const { headers, body: stream } = incoming.request;
  const { maxBodyBytes, keys, messagesKey, fileKey, factsOf } = deps.provider.request;
  const scan = new BodyScan(headers.get("content-encoding") ?? "", {
    maxDecodedBytes: maxBodyBytes,
    fileKey,
    keys: [...keys, messagesKey],
  });
  const startedAt = deps.elapsed();
  let body: HeldBody | null = null;
  let userId: string | null | undefined;
  try {
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
    const messagesHash = messages === null ? null : await hashOf(body.bytes.subarray(messages.start, messages.end));
    const named = factsOf(new Map(keys.map((key) => [key, found.get(key)?.value])));
    const kept = keptFacts(named, [token, ...incoming.ownCredentials]);
    userId = kept.userId;
    const fileIds = scan.takeFileIds();
    const heldBy = await assertOwnFiles(fileIds, { sandbox, deps });
    const [isCompressed, namesFiles] = [scan.isEncoded, fileIds.length > 0];
    return { body, arrivalMs, messages, messagesHash, heldBy, isCompressed, namesFiles, ...kept };
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

function keptFacts({ model, userId, ...plain }: BodyFacts, secrets: readonly string[]) {
  return { ...plain, requestedModel: unlessSecret(model, secrets), userId: unlessSecret(userId, secrets) };
}
