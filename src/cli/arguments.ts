import { type Command, InvalidArgumentError } from "commander";
import { isEmptySpan } from "../domain/calendar.ts";

/** Options that several commands share, and what reads their texts. */

const ID = /^[\x21-\x7e]{1,128}$/;
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export const OFFLINE = ["--offline", "work on the data directory of a proxy that does not run"] as const;
export const JSON_OUTPUT = ["--json", "print JSON, as the admin API writes it"] as const;

/** What stands behind "from then on". */
export const TIME_WORDS = "2026-01-31T12:00:00Z, or 45m, 12h or 30d ago";

export interface Span {
  readonly since?: number;
  readonly until?: number;
}

/** The proxy refuses an empty span too, but in the words of its own API. */
export function refuseEmptySpan(command: Command, { since, until }: Span, now: number): void {
  if (since === undefined || !isEmptySpan(since, until ?? now)) return;
  const end = until === undefined ? "now" : "before --until";
  command.error(`error: the time from --since to ${end} is empty: --since has to be the earlier`);
}

/** Milliseconds of `90s`, `45m`, `12h` or `30d`; null for `never`; undefined for any other text. */
export function parseDuration(text: string): number | null | undefined {
  if (text === "never") return null;
  const match = /^([1-9]\d{0,4})([smhd])$/.exec(text);
  return match === null ? undefined : Number(match[1]) * UNIT_MS[match[2]!]!;
}

export function readDuration(text: string): number | null {
  const duration = parseDuration(text);
  if (duration === undefined) throw new InvalidArgumentError("Expected a duration such as 90s, 45m, 12h or 30d, or never.");
  return duration;
}

export function readTime(text: string, now: number): number {
  const time = RFC3339.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  const ago = parseDuration(text);
  if (typeof ago === "number") return now - ago;
  throw new InvalidArgumentError(
    "Expected a time with its seconds, such as 2026-01-31T12:00:00Z, or how long ago, such as 45m or 12h.",
  );
}

export function readId(text: string): string {
  if (!ID.test(text)) throw new InvalidArgumentError("Expected 1 to 128 visible ASCII characters.");
  return text;
}

/** A trace or model may have any characters. */
export function readName(text: string): string {
  if (text === "" || text.length > 256 || /\p{Cc}/u.test(text)) {
    throw new InvalidArgumentError("Expected 1 to 256 characters without control characters.");
  }
  return text;
}

/** How many entries to print; `all` is Infinity. */
export function readLimit(text: string): number {
  if (text === "all") return Infinity;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("Expected a whole number from 1, or all.");
  return Number(text);
}
