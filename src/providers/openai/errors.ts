import type { UsageReading } from "../../domain/reading.ts";
import { isRecord, textOf } from "../untrusted_json.ts";

/**
 * Codes and types of an account that cannot pay, after which asking again does not help
 * (https://platform.openai.com/docs/guides/error-codes and the types of openai 7.59.0).
 */
const NO_CREDIT: ReadonlySet<string> = new Set([
  "insufficient_quota",
  "billing_hard_limit_reached",
  "credit_balance_exhausted",
  "organization_spend_limit_exceeded",
  "project_spend_limit_exceeded",
  "organization_usage_limit_exceeded",
]);

/** `code` says more than `type` and may be null. An error that says neither is an `error`. */
export function foldError(reading: UsageReading, error: unknown): UsageReading {
  const { code, type } = isRecord(error) ? error : { code: null, type: null };
  const said = [textOf(code), textOf(type)].filter((text) => text !== null);
  return { ...reading, errorType: said[0] ?? "error", isOutOfCredit: said.some((text) => NO_CREDIT.has(text)) };
}

/** In an event of a stream the error stands by itself, or its fields are the event's. */
export function foldErrorEvent(reading: UsageReading, data: Readonly<Record<string, unknown>>): UsageReading {
  return foldError(reading, isRecord(data.error) ? data.error : { code: data.code, type: null });
}
