import { LRUCache } from "lru-cache";
import { costUsd } from "../../domain/money.ts";

/** Numbers, money and times as people read them. The exact value is in the title. */

const WHOLE = new Intl.NumberFormat("en-US");
const SHORT = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });

export function wholeText(value: number | bigint): string {
  return WHOLE.format(value);
}

/** `1,234,567`, or `1.23M` with the whole number in the title. */
export function Count({ value, isShort = false }: { readonly value: number | bigint; readonly isShort?: boolean }) {
  const whole = wholeText(value);
  return isShort && value >= 10_000 ? <span title={whole}>{SHORT.format(value)}</span> : <>{whole}</>;
}

/** US dollars to the cent; below one dollar to a hundredth of a cent. */
export function dollarsText(nanoDollars: number | bigint): string {
  const exact = costUsd(nanoDollars);
  const digits = /^-?0\./.test(exact) && !/^-?0\.0+$/.test(exact) ? 4 : 2;
  const [whole, fraction] = Number(exact).toFixed(digits).split(".");
  const sign = whole!.startsWith("-") ? "-" : "";
  return `${sign}$${WHOLE.format(BigInt(whole!.replace("-", "")))}.${fraction}`;
}

/** Null: there is no price. */
export function Dollars({ nano }: { readonly nano: number | bigint | null }) {
  if (nano === null) return <span class="missing">unpriced</span>;
  return <span title={`$${costUsd(nano)}`}>{dollarsText(nano)}</span>;
}

export function Share({ part, whole }: { readonly part: number | bigint; readonly whole: number | bigint }) {
  if (BigInt(whole) === 0n) return <span class="missing">–</span>;
  return <>{shareText(part, whole)}</>;
}

export function shareText(part: number | bigint, whole: number | bigint): string {
  return BigInt(whole) === 0n ? "–" : `${(Number(part) / Number(whole) * 100).toFixed(1)} %`;
}

/** `950 ms`, `1.5 s`, `12 min 3 s`, `5 h 2 min`, `3 d 4 h`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 1_440
    ? `${Math.floor(minutes / 60)} h ${minutes % 60} min`
    : `${Math.floor(minutes / 1_440)} d ${Math.floor(minutes % 1_440 / 60)} h`;
}

/** In the viewer's zone, `2026-01-31 13:00:00`; the title has UTC. */
export function Time({ at, zone }: { readonly at: number; readonly zone: string }) {
  const utc = new Date(at).toISOString();
  return <time datetime={utc} title={`${utc.slice(0, 19).replace("T", " ")} UTC`}>{timeText(at, zone)}</time>;
}

/** Making a format takes longer than a page. */
const FORMATS = new LRUCache<string, Intl.DateTimeFormat>({ max: 50 });

export function timeText(at: number, zone: string): string {
  let format = FORMATS.get(zone);
  if (format === undefined) {
    // Swedish writes times by ISO 8601.
    format = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
    FORMATS.set(zone, format);
  }
  return format.format(at);
}

/** The zone that the browser named; UTC if it named none that is known. */
export function zoneOf(cookie: string | undefined): string {
  if (cookie === undefined || !/^[A-Za-z0-9+\-/_]{1,64}$/.test(cookie)) return "UTC";
  try {
    return new Intl.DateTimeFormat("en", { timeZone: cookie }).resolvedOptions().timeZone;
  } catch {
    return "UTC";
  }
}
