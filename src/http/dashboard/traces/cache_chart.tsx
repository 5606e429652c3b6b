import type { TokenUsage } from "../../../domain/usage.ts";
import { dollarsText, durationText, wholeText } from "../figures.tsx";
import type { CacheMiss } from "../../trace_cache.ts";

const [WIDTH, HEIGHT] = [1_000, 160];
/** Below the bars, for the marks of what was written again. */
const MARKS = 12;
const WIDEST = 40;

interface CacheChartParts {
  /** In the order of time. */
  readonly calls: readonly TokenUsage[];
  readonly misses: ReadonlyMap<string, CacheMiss>;
  readonly origin: number;
}

/** The input of each call as a bar: what came from the cache, what went into it, and the rest. */
export function CacheChart({ calls, misses, origin }: CacheChartParts) {
  const known = calls.filter(({ accuracy }) => accuracy !== "unknown");
  const most = Math.max(0, ...known.map(inputOf));
  if (most === 0) return null;
  const step = WIDTH / known.length;
  const width = Math.min(step * 0.8, WIDEST);
  return (
    <figure class="cache">
      <figcaption>
        {`Input of each call on this page, in the order of time; the tallest bar is ${wholeText(most)} tokens`}
      </figcaption>
      <ul class="legend">
        {KINDS.map(({ kind, name }) => (
          <li>
            <svg class="swatch" width="12" height="12" aria-hidden="true">
              <rect class={kind} width="12" height="12" />
            </svg>{" "}
            {name}
          </li>
        ))}
        <li>
          <svg class="swatch" width="12" height="12" aria-hidden="true">
            <rect class="broken" y="4" width="12" height="4" />
          </svg>{" "}
          a tenth or more written again
        </li>
      </ul>
      <svg
        class="bars"
        viewBox={`0 0 ${WIDTH} ${HEIGHT + MARKS}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Cache reads, cache writes and uncached input of ${known.length} calls; the table of calls has the numbers`}
      >
        {known.map((call, n) => (
          <g>
            <title>{barText(call, misses.get(call.id), origin)}</title>
            {stackOf(call, most).map(({ kind, y, height }) => (
              <rect class={kind} x={(n * step).toFixed(1)} y={y.toFixed(1)} width={width.toFixed(1)} height={height.toFixed(1)} />
            ))}
            {isBroken(call, misses.get(call.id))
              ? <rect class="broken" x={(n * step).toFixed(1)} y={HEIGHT + 4} width={width.toFixed(1)} height="6" />
              : null}
          </g>
        ))}
      </svg>
    </figure>
  );
}

const BROKEN_PART = 0.1;

/** Most calls write some tokens again; a mark on each would hide the breaks. */
function isBroken(call: TokenUsage, miss: CacheMiss | undefined): boolean {
  return miss !== undefined && miss.missedTokens >= inputOf(call) * BROKEN_PART;
}

/** From below. */
const KINDS = [
  { kind: "read", name: "read from the cache", of: (call: TokenUsage) => call.cacheReadInputTokens },
  { kind: "write", name: "written to the cache", of: (call: TokenUsage) => call.cacheCreationInputTokens },
  { kind: "plain", name: "uncached", of: (call: TokenUsage) => call.inputTokens },
] as const;

function inputOf(call: TokenUsage): number {
  return KINDS.reduce((sum, { of }) => sum + of(call), 0);
}

function stackOf(call: TokenUsage, most: number) {
  let below = 0;
  return KINDS.map(({ kind, of }) => {
    const height = of(call) / most * HEIGHT;
    below += height;
    return { kind, y: HEIGHT - below, height };
  }).filter(({ height }) => height > 0);
}

function barText(call: TokenUsage, miss: CacheMiss | undefined, origin: number): string {
  const parts = KINDS.map(({ name, of }) => `${wholeText(of(call))} ${name}`);
  const broken = miss === undefined ? [] : [missText(miss)];
  return [`+${durationText(call.createdAt - origin)}`, ...parts, ...broken].join(", ");
}

function missText({ missedTokens, missCost, sinceMs }: CacheMiss): string {
  const cost = missCost === null ? "unpriced" : dollarsText(missCost);
  return `${wholeText(missedTokens)} of them again (${cost}), ${durationText(sinceMs)} after the call before`;
}
