import { type Fault, FAULTS } from "../../domain/fault.ts";
import type { RefusedClient } from "../../domain/provider.ts";
import { errorTypeOf as anthropicTypeOf } from "../anthropic/refusal.ts";
import { CLIENTS } from "../clients.ts";

/**
 * By status, as the operations of Bedrock name their errors:
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
 */
const ERROR_TYPES: ReadonlyMap<number, string> = new Map([
  [401, "UnrecognizedClientException"],
  [403, "AccessDeniedException"],
  [404, "ResourceNotFoundException"],
  [408, "RequestTimeoutException"],
  [429, "ThrottlingException"],
  [503, "ServiceUnavailableException"],
]);

export function errorTypeOf(status: number): string {
  return ERROR_TYPES.get(status) ?? (status < 500 ? "ValidationException" : "InternalServerException");
}

/** AWS's clients do not retry an error of this name; it has the status 400. */
const QUOTA = "ServiceQuotaExceededException";

/** A shorter wait than this is obeyed by every client. */
const SOON_SECONDS = 60;

/** They begin their user agents so. The SDKs ask three times after a 429, whatever it says. */
const AWS_SDK = /^(?:aws-sdk-|aws-cli|Boto3|Botocore)/i;

/**
 * Our own refusal as both families of clients read it: Anthropic's by the JSON, and AWS's by
 * `message` and `x-amzn-errortype`.
 *
 * What no retry helps has the status that stops the client. Claude Code (2.1.332) asks eight times
 * after a 400 and for minutes after a 403; it stops at a 429 with `x-should-retry: false` and shows
 * its text. AWS's SDKs stop at a 400.
 */
export function refuse(fault: Fault, { requestId, client }: RefusedClient) {
  const { status: usual } = FAULTS[fault.code];
  const { retryAfterSeconds: wait } = fault;
  const isFinal = wait === "never" || wait >= SOON_SECONDS;
  const row = CLIENTS.find(({ name }) => name === client);
  const status = isFinal ? statusThatStops(client, { usual, row }) : usual;
  const isQuota = isFinal && (status === 429 || (status === 400 && usual === 429));
  const [message, id] = isFinal && row?.readsText ? [fault.plainMessage, undefined] : [fault.message, requestId];
  const type = isQuota ? "billing_error" : anthropicTypeOf(status);
  return {
    status,
    body: JSON.stringify({ type: "error", error: { type, message }, message, request_id: id }),
    headers: {
      "content-type": "application/json",
      "x-amzn-errortype": isQuota ? QUOTA : errorTypeOf(status),
      ...isFinal ? { "x-should-retry": "false" } : {},
      ...wait === "never" ? {} : { "retry-after": String(wait) },
    },
  };
}

function statusThatStops(
  client: string | null,
  { usual, row }: { readonly usual: number; readonly row: (typeof CLIENTS)[number] | undefined },
): number {
  if (client === "claude-code") return 429;
  if (usual !== 429) return usual;
  return row?.stopStatus ?? (AWS_SDK.test(client ?? "") ? 400 : usual);
}

/** No text fits into a binary stream. It breaks, which both families of clients notice. */
export function errorEvent(): string {
  return "";
}
