import type { TraceWithStats } from "../../../domain/trace.ts";
import type { RunningCall } from "../../../domain/running_call.ts";
import type { TraceCache } from "../../trace_cache.ts";
import { placePath } from "../places/place.ts";
import { clipped } from "./call_text.tsx";
import { Count, Dollars, dollarsText, durationText, Share, Time, wholeText } from "../figures.tsx";

interface TraceHeadParts {
  readonly trace: TraceWithStats;
  readonly cache: TraceCache;
  /** The agent's name, if the calls on the page tell it. */
  readonly client: string | undefined;
  readonly running: readonly RunningCall[];
  readonly zone: string;
}

/** Who, when, and what it cost. */
export function TraceHead({ trace, cache, client, running, zone }: TraceHeadParts) {
  const { workspaceId, sandboxId, createdAt, updatedAt } = trace;
  const input = trace.totalInputTokens + trace.totalCacheCreationInputTokens + trace.totalCacheReadInputTokens;
  return (
    <>
      <dl class="facts head">
        <div>
          <dt>Workspace</dt>
          <dd>
            <a href={placePath({ workspaceId, sandboxId: null })}>{workspaceId}</a>
          </dd>
        </div>
        <div>
          <dt>Sandbox</dt>
          <dd>
            <a href={placePath({ workspaceId, sandboxId })}>{sandboxId}</a>
          </dd>
        </div>
        {client === undefined ? null : (
          <div>
            <dt>Client</dt>
            <dd>{client}</dd>
          </div>
        )}
        <div>
          <dt>Found by</dt>
          <dd>{trace.source}</dd>
        </div>
        <div>
          <dt>Began</dt>
          <dd>
            <Time at={createdAt} zone={zone} />
          </dd>
        </div>
        <div>
          <dt>Last activity</dt>
          <dd>
            <Time at={updatedAt} zone={zone} /> ({durationText(updatedAt - createdAt)} later)
          </dd>
        </div>
      </dl>
      {running.length === 0 ? null : <Running calls={running} trace={trace} />}
      <dl class="cards">
        <div class="card">
          <dt>Cost</dt>
          <dd class="value">
            <Dollars nano={trace.cost} />
          </dd>
          {costNotes(trace).map((note) => <dd class="warn">{note}</dd>)}
        </div>
        <div class="card">
          <dt>Calls</dt>
          <dd class="value">
            <Count value={trace.requestCount} />
          </dd>
          {trace.failedCount === 0 ? null : <dd class="bad">{wholeText(trace.failedCount)} failed</dd>}
          {trace.retryCount === 0 ? null : (
            <dd class="warn">
              {wholeText(trace.retryCount)} {trace.retryCount === 1 ? "is a retry" : "are retries"}
            </dd>
          )}
        </div>
        <div class="card">
          <dt>Input tokens</dt>
          <dd class="value">
            <Count value={input} isShort />
          </dd>
          <dd class="hint">
            {wholeText(trace.totalInputTokens)} uncached, {wholeText(trace.totalCacheCreationInputTokens)} written to the cache
          </dd>
        </div>
        <div class="card">
          <dt>From the cache</dt>
          <dd class="value">
            <Share part={trace.totalCacheReadInputTokens} whole={input} />
          </dd>
          <dd class="hint">{wholeText(trace.totalCacheReadInputTokens)} tokens</dd>
        </div>
        <div class="card">
          <dt>Output tokens</dt>
          <dd class="value">
            <Count value={trace.totalOutputTokens} isShort />
          </dd>
        </div>
        <CacheCard cache={cache} />
      </dl>
    </>
  );
}

/** What is not in the cost, what is not certain, and what bought no answer. */
function costNotes(trace: TraceWithStats): readonly string[] {
  const { unpricedCount, partlyPricedCount, unknownCount, estimatedCost, retriedCost } = trace;
  return [
    unpricedCount === 0 ? null : `${callsText(unpricedCount)} without a price: not in it`,
    partlyPricedCount === 0 ? null : `${callsText(partlyPricedCount)} with a price in part only`,
    unknownCount === 0 ? null : `${callsText(unknownCount)} of unknown use: not in it`,
    estimatedCost === 0n ? null : `${dollarsText(estimatedCost)} of it is estimated`,
    retriedCost === 0n ? null : `${dollarsText(retriedCost)} of it went to attempts that were repeated`,
  ].filter((note) => note !== null);
}

function callsText(count: number): string {
  return `${wholeText(count)} ${count === 1 ? "call" : "calls"}`;
}

/** What the cache was worth: less what its writes cost above plain input. */
function CacheCard({ cache }: { readonly cache: TraceCache }) {
  const { saved, writePremium, missCost, missedTokens, unpricedCount, isWhole } = cache;
  return (
    <div class="card">
      <dt>The cache saved</dt>
      <dd class="value">
        <Dollars nano={saved - writePremium} />
      </dd>
      <dd class="hint">
        Reads saved {dollarsText(saved)}, writes cost {dollarsText(writePremium)} more than plain input.
        {missedTokens === 0n
          ? null
          : ` ${wholeText(missedTokens)} tokens were written again, for ${dollarsText(missCost)} above reads.`}
        {unpricedCount === 0 ? null : <span class="warn">{` ${callsText(unpricedCount)} without a price: not in it.`}</span>}
        {isWhole ? null : <span class="warn">&nbsp;Counted for the oldest calls only.</span>}
      </dd>
    </div>
  );
}

/** The live page can cut them. */
function Running(
  { calls: [oldest, ...others], trace }: Pick<TraceHeadParts, "trace"> & { readonly calls: readonly RunningCall[] },
) {
  const { ageMs, model } = oldest!;
  const live = `/dashboard/live?${new URLSearchParams({ workspace_id: trace.workspaceId, trace_id: trace.id })}`;
  const count = others.length === 0 ? "A call is" : `${wholeText(others.length + 1)} calls are`;
  return (
    <p class="panel" role="status">
      <a href={live}>{count} in flight</a>{" "}
      {`and not counted here${others.length === 0 ? ":" : ", the oldest"} for ${durationText(ageMs)}${
        model === null ? "" : `, ${clipped(model)}`
      }.`}
    </p>
  );
}
