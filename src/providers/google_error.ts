import type { UsageReading } from "../domain/reading.ts";
import { isRecord, textOf } from "./untrusted_json.ts";

/** Google's names of errors by status (https://google.aip.dev/193, google.rpc.Code). */
const STATUS_NAMES: ReadonlyMap<number, string> = new Map([
  [400, "INVALID_ARGUMENT"],
  [401, "UNAUTHENTICATED"],
  [403, "PERMISSION_DENIED"],
  [404, "NOT_FOUND"],
  [408, "DEADLINE_EXCEEDED"],
  [409, "ABORTED"],
  [413, "INVALID_ARGUMENT"],
  [415, "INVALID_ARGUMENT"],
  [421, "INVALID_ARGUMENT"],
  [429, "RESOURCE_EXHAUSTED"],
  [431, "INVALID_ARGUMENT"],
  [499, "CANCELLED"],
  [500, "INTERNAL"],
  [501, "UNIMPLEMENTED"],
  [502, "UNAVAILABLE"],
  [503, "UNAVAILABLE"],
  [504, "DEADLINE_EXCEEDED"],
]);

export function statusNameOf(status: number): string {
  return STATUS_NAMES.get(status) ?? "UNKNOWN";
}

/** Whether it is an error as Google's own front ends write one: Anthropic's has no such status. */
export function isGoogleError(error: unknown): error is Readonly<Record<string, unknown>> {
  return isRecord(error) && (typeof error.status === "string" || typeof error.code === "number");
}

/** An error that names neither its status nor its code is an `error`. */
export function foldGoogleError(reading: UsageReading, error: Readonly<Record<string, unknown>>): UsageReading {
  const byCode = typeof error.code === "number" ? statusNameOf(error.code) : "error";
  return { ...reading, errorType: textOf(error.status) ?? byCode, isOutOfCredit: saysNoCredit(error) };
}

/** What the API says if an account is not paid for; no request can make it begin so. */
const NO_CREDIT = /^Your (?:prepayment credits are depleted|project has exceeded its monthly spending cap)/;

function saysNoCredit({ message, details }: Readonly<Record<string, unknown>>): boolean {
  const reasons = (Array.isArray(details) ? details.slice(0, MAX_DETAILS) : []).filter(isRecord).map(({ reason }) => reason);
  return reasons.includes("BILLING_DISABLED") || (typeof message === "string" && NO_CREDIT.test(message));
}

const MAX_DETAILS = 32;
