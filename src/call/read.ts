import { Fault, type FaultCode } from "../domain/fault.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import { BodyError, type BodyProblem, declaredLength, hashRange, type HeldBody, readBody } from "../wire/body.ts";
import { decoderOf } from "../wire/decode.ts";
import { type ScanResult, TopLevelScanner } from "../wire/json_scan.ts";
import { tokenOf } from "./authenticate.ts";
import { unlessSecret } from "./token_filter.ts";
import { assertSeen, fileIdScanner, isEncoded } from "./named_files.ts";
import { MAX_NAMED } from "./ownership.ts";
import type { Deps, IncomingCall } from "./deps.ts";

/** The API's own limit for messages and count_tokens, bytes. */
export const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;

/** The body's bytes, held, and what the proxy needs to know of it. */
export interface RequestFacts {
  readonly body: HeldBody;
  /** How long the client took to send its body, milliseconds: not the proxy's doing. */
  readonly arrivalMs: number;
  /** Empty where there is none, or where it holds the proxy token. */
  readonly requestedModel: string;
  /** The model holds the proxy token, so that an answer which repeats it does too. */
  readonly hidesModel: boolean;
  readonly isStreamed: boolean;
  readonly maxTokens: number | null;
  /** `metadata.user_id`, in which Claude Code names its session. */
  readonly userId: string | null;
  /** SHA-256 of the bytes of `messages`, hex; null where there are none or the body is compressed. */
  readonly messagesHash: string | null;
  /** Where `messages` stands in the body; null as for its hash. */
  readonly messages: { readonly start: number; readonly end: number } | null;
  /** What the body names as files, the same ones once. */
  readonly fileIds: readonly string[];
}

/** Reads the request's body within its limits and finds the few keys that are needed. A body that is not JSON is no fault of ours to tell. */
export async function read(arrival: IncomingCall, sandbox: Sandbox, deps: Deps): Promise<RequestFacts> {
  const { request } = arrival;
  const scanner = new TopLevelScanner(WANTED, { maxValueBytes: MAX_VALUE_BYTES });
  const encoding = request.headers.get("content-encoding") ?? "";
  const fileIds = fileIdScanner();
  const named = new Set<string>();
  const decoder = decoderOf(encoding, {
    maxBytes: MAX_MESSAGE_BYTES,
    onChunk: (chunk) => {
      scanner.push(chunk);
      fileIds.push(chunk);
      for (const id of fileIds.take()) if (named.size <= MAX_NAMED) named.add(id);
    },
  });
  const startedAt = deps.elapsed();
  let body: HeldBody | null = null;
  try {
    body = await readBody(request.body, {
      declared: declaredLength(request.headers),
      maxBytes: MAX_MESSAGE_BYTES,
      deadlineMs: deps.limits.bodyDeadlineMs,
      budget: deps.budget,
      holder: JSON.stringify([sandbox.workspaceId, sandbox.sandboxId]),
      look: (chunk) => decoder?.push(chunk),
    });
    const arrivalMs = deps.elapsed() - startedAt;
    await decoder?.end();
    const scan = scanner.end();
    const isCoded = isEncoded(encoding);
    assertSeen({
      isEncoded: isCoded,
      isBlind: decoder?.isBlind ?? true,
      isValid: scan.isValid,
      isHidden: fileIds.isHidden,
    });
    const messages = !isCoded ? scan.found.get("messages") : undefined;
    const messagesHash = messages === undefined ? null : await hashRange(body, messages);
    return {
      body,
      arrivalMs,
      messagesHash,
      messages: messages ?? null,
      fileIds: [...named],
      ...keysOf(scan, [tokenOf(request.headers), ...arrival.ownCredentials]),
    };
  } catch (error) {
    body?.release();
    decoder?.close();
    throw bodyFault(error);
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

const WANTED = ["model", "stream", "max_tokens", "metadata", "messages"];
const MAX_VALUE_BYTES = 16 * 1024;

function keysOf(
  { found }: ScanResult,
  secrets: readonly string[],
): Pick<RequestFacts, "requestedModel" | "hidesModel" | "isStreamed" | "maxTokens" | "userId"> {
  const model = found.get("model")?.value;
  const named = typeof model === "string" ? model : "";
  const kept = unlessSecret(named, secrets);
  const maxTokens = found.get("max_tokens")?.value;
  const userId = (found.get("metadata")?.value as { readonly user_id?: unknown } | null | undefined)?.user_id;
  return {
    requestedModel: kept ?? "",
    hidesModel: kept === null,
    isStreamed: found.get("stream")?.value === true,
    maxTokens: Number.isSafeInteger(maxTokens) ? maxTokens as number : null,
    userId: typeof userId === "string" ? unlessSecret(userId, secrets) : null,
  };
}
