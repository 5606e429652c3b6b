import { AdminRefusal, shown } from "../admin_refusal.ts";
import { linkTo } from "./links.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A span of time that a page is about. `until` is its end, at most now. */
export interface Range {
  readonly name: RangeName | "custom";
  readonly since: number;
  readonly until: number;
  /** What charts count by. */
  readonly step: "hour" | "day";
}

interface Named {
  readonly title: string;
  readonly spanOf: (now: number) => readonly [since: number, until: number];
}

/** Days and months are UTC, as in limits and bills. */
export const RANGES = {
  today: { title: "Today", spanOf: (now) => [dayOf(now), now] },
  yesterday: { title: "Yesterday", spanOf: (now) => [dayOf(now) - DAY_MS, dayOf(now)] },
  "24h": { title: "24 hours", spanOf: (now) => [now - DAY_MS, now] },
  "7d": { title: "7 days", spanOf: (now) => [now - 7 * DAY_MS, now] },
  "30d": { title: "30 days", spanOf: (now) => [now - 30 * DAY_MS, now] },
  month: { title: "This month", spanOf: (now) => [monthOf(now, 0), now] },
  "last-month": { title: "Last month", spanOf: (now) => [monthOf(now, -1), monthOf(now, 0)] },
  year: { title: "365 days", spanOf: (now) => [now - 365 * DAY_MS, now] },
} as const satisfies Record<string, Named>;

export type RangeName = keyof typeof RANGES;

/** Longer spans are counted by day. */
const MOST_HOURS = 72;

/** The span in `range`, or in `since` and `until` as UTC dates. Throws `AdminRefusal`. */
export function rangeOf({ searchParams }: URL, now: number, byDefault: RangeName): Range {
  const [since, until] = [searchParams.get("since"), searchParams.get("until")];
  if (since !== null && since !== "") {
    const begin = dateOf("since", since);
    const end = until === null || until === "" ? now : Math.min(dateOf("until", until) + DAY_MS, now);
    if (begin >= end) throw new AdminRefusal("invalid_request_error", "Cannot show an empty span: since has to be before until");
    return { name: "custom", since: begin, until: end, step: stepOf(begin, end) };
  }
  const name = searchParams.get("range") ?? byDefault;
  if (!Object.hasOwn(RANGES, name)) {
    const names = Object.keys(RANGES).join(", ");
    throw new AdminRefusal("invalid_request_error", `Cannot read range as one of ${names}: current value is ${shown(name)}`);
  }
  const [begin, end] = RANGES[name as RangeName].spanOf(now);
  return { name: name as RangeName, since: begin, until: end, step: stepOf(begin, end) };
}

/** The same part of the day or the month before it; otherwise as much time before it. */
export function spanBefore({ name, since, until }: Range): Pick<Range, "since" | "until"> {
  if (name === "today") return { since: since - DAY_MS, until: until - DAY_MS };
  if (name === "last-month") return { since: monthOf(since, -1), until: since };
  const begin = name === "month" ? monthOf(since, -1) : since - (until - since);
  return { since: begin, until: Math.min(begin + until - since, since) };
}

/** Links to the named spans, and a form for any other. */
export function RangePicker({ url, range }: { readonly url: URL; readonly range: Range }) {
  const kept = [...url.searchParams].filter(([name]) => !["range", "since", "until", "cursor"].includes(name));
  return (
    <div class="range">
      <nav aria-label="Time span">
        {Object.entries(RANGES).map(([name, { title }]) => (
          <a
            href={linkTo(url, { range: name, since: null, until: null, cursor: null })}
            aria-current={range.name === name ? "true" : undefined}
          >
            {title}
          </a>
        ))}
      </nav>
      <form method="get">
        {kept.map(([name, value]) => <input type="hidden" name={name} value={value} />)}
        <label>
          From <input type="date" name="since" value={dateText(range.since)} required />
        </label>
        <label>
          to <input type="date" name="until" value={dateText(range.until - 1)} />
        </label>
        <button type="submit" class="quiet">Show</button>
        <span class="hint">UTC</span>
      </form>
    </div>
  );
}

function stepOf(since: number, until: number): "hour" | "day" {
  return until - since <= MOST_HOURS * HOUR_MS ? "hour" : "day";
}

function dayOf(now: number): number {
  return now - now % DAY_MS;
}

function monthOf(now: number, offset: number): number {
  const date = new Date(now);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + offset, 1);
}

function dateText(at: number): string {
  return new Date(at).toISOString().slice(0, "2026-01-31".length);
}

function dateOf(name: string, text: string): number {
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  if (!Number.isNaN(at)) return at;
  throw new AdminRefusal(
    "invalid_request_error",
    `Cannot read ${name} as a date such as 2026-01-31: current value is ${shown(text)}`,
  );
}
