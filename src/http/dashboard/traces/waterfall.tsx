import type { Child } from "hono/jsx";
import type { TokenUsage } from "../../../domain/usage.ts";
import { durationText, Time, wholeText } from "../figures.tsx";
import {
  agentText,
  callAnchor,
  CallCost,
  clipped,
  costText,
  msText,
  OutcomeText,
  outcomeText,
  tokensText,
  TONES,
  upstreamText,
} from "./call_text.tsx";
import { AXIS_WIDTH, type TimeAxis, timeAxisOf } from "./time_axis.ts";

const ROW_HEIGHT = 16;
const PAUSES = "pauses";
/** A shorter bar could not be seen. */
const LEAST_WIDTH = 3;

interface WaterfallParts {
  /** In the order of time. */
  readonly calls: readonly TokenUsage[];
  /** When the trace began. */
  readonly origin: number;
  readonly zone: string;
}

/** Each call as a bar on one time axis. A bar opens what is known of its call, without a script. */
export function Waterfall({ calls, origin, zone }: WaterfallParts) {
  if (calls.length === 0) return null;
  const axis = timeAxisOf(calls.map(({ createdAt, duration }) => ({ from: createdAt, to: createdAt + duration })));
  const shown = new Set(calls.map(({ id }) => id));
  return (
    <section class="panel" aria-labelledby="waterfall">
      <h2 id="waterfall">Waterfall of the calls on this page</h2>
      <Legend pauses={axis.pauses.length} />
      <div class="ticks" aria-hidden="true">
        <div>{axis.ticks.map((at) => <span>{`+${durationText(at - origin)}`}</span>)}</div>
      </div>
      <Pauses axis={axis} />
      <ol class="waterfall">
        {calls.map((call) => (
          <li>
            <details>
              <summary>
                <span class="name">{`+${durationText(call.createdAt - origin)} ${agentText(call)}`}</span>
                <Bar call={call} axis={axis} origin={origin} />
                <span class="fact">
                  {msText(call.duration)} · <CallCost call={call} />
                  {call.outcome === "completed" ? null : (
                    <>
                      {" · "}
                      <OutcomeText call={call} />
                    </>
                  )}
                  {call.retryOf === undefined ? null : <span class="warn">&nbsp;· retry</span>}
                </span>
              </summary>
              <Details call={call} zone={zone} shown={shown} />
            </details>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** Drawn once, and shown in the lane of each call. */
function Pauses({ axis }: { readonly axis: TimeAxis }) {
  return (
    <svg class="defined" width="0" height="0" aria-hidden="true">
      <defs>
        <g id={PAUSES}>
          {axis.pauses.map(({ place }) => <rect class="call pause" x={rounded(place)} width="2" height={ROW_HEIGHT} />)}
        </g>
      </defs>
    </svg>
  );
}

function Legend({ pauses }: { readonly pauses: number }) {
  return (
    <ul class="legend">
      <li>
        <Swatch tone="good wait" /> until the first token
      </li>
      <li>
        <Swatch tone="good" /> completed
      </li>
      <li>
        <Swatch tone="bad" /> failed
      </li>
      <li>
        <Swatch tone="warn" /> cut short
      </li>
      <li>
        <Swatch tone="missing" /> end unknown
      </li>
      {pauses === 0 ? null : (
        <li>
          <Swatch tone="pause" /> {pauses === 1 ? "a pause" : `${wholeText(pauses)} pauses`}, shortened
        </li>
      )}
    </ul>
  );
}

export function Swatch({ tone }: { readonly tone: string }) {
  return (
    <svg class="swatch" width="12" height="12" aria-hidden="true">
      <rect class={`call ${tone}`} width="12" height="12" />
    </svg>
  );
}

function Bar({ call, axis, origin }: { readonly call: TokenUsage; readonly axis: TimeAxis; readonly origin: number }) {
  const { createdAt, duration, ttft } = call;
  const [begin, end] = [axis.placeOf(createdAt), axis.placeOf(createdAt + duration)];
  const tone = TONES[call.outcome];
  const x = Math.min(begin, AXIS_WIDTH - LEAST_WIDTH);
  const first = ttft === 0 ? x : axis.placeOf(createdAt + Math.min(ttft, duration));
  const width = Math.max(end - x, LEAST_WIDTH);
  return (
    <svg
      class="lane"
      viewBox={`0 0 ${AXIS_WIDTH} ${ROW_HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={barText(call, origin)}
    >
      <use href={`#${PAUSES}`} />
      <rect class={`call ${tone} wait`} x={rounded(x)} y="2" width={rounded(width)} height="12" />
      <rect class={`call ${tone}`} x={rounded(first)} y="2" width={rounded(Math.max(x + width - first, 0))} height="12" />
      {ttft === 0 ? null : <rect class="first" x={rounded(first)} width="2" height={ROW_HEIGHT} />}
    </svg>
  );
}

function barText(call: TokenUsage, origin: number): string {
  const first = call.ttft === 0 ? "no first token known" : `first token after ${durationText(call.ttft)}`;
  return [
    call.upstream === undefined ? clipped(call.model) : `${clipped(call.model)} at ${clipped(call.upstream)}`,
    `${durationText(call.createdAt - origin)} after the trace began`,
    first,
    call.duration === 0 ? "duration unknown" : `took ${durationText(call.duration)}`,
    outcomeText(call),
    costText(call),
    ...(call.retryOf === undefined ? [] : ["a retry"]),
  ].join(", ");
}

/** What is known of a call. A link to its place opens what it is in. */
function Details(
  { call, zone, shown }: { readonly call: TokenUsage; readonly zone: string; readonly shown: ReadonlySet<string> },
) {
  const { requestedModel, model, agentId, client, status, unpricedUses, retryOf, upstreamRequestId } = call;
  const { inferenceGeo: place, serviceTier: tier } = call;
  const facts: readonly (readonly [name: string, fact: Child | null | undefined])[] = [
    ["Call", <span class="id">{call.id}</span>],
    ["Began", <Time at={call.createdAt} zone={zone} />],
    ["Model", model === requestedModel ? clipped(model) : `${clipped(model)}, asked for as ${clipped(requestedModel)}`],
    ["Upstream", upstreamText(call)],
    ["Ran in", place === undefined ? null : clipped(place)],
    ["Service tier", tier === undefined ? null : clipped(tier)],
    ["Agent", namesText([agentText(call), agentId, client])],
    ["Outcome", outcomeText(call)],
    ["Status", status],
    ["First token", msText(call.ttft)],
    ["Tokens", tokensText(call)],
    ["Prices", call.priceVersion],
    [
      "Without a price",
      unpricedUses === undefined ? null : Object.entries(unpricedUses).map(([use, n]) => `${n} ${use}`).join(", "),
    ],
    ["Retry of", retryOf === undefined ? null : <CallLink id={retryOf} isShown={shown.has(retryOf)} />],
    ["Repeated", call.askedAgain ? "the client asked the same again" : null],
    ["Upstream's request", upstreamRequestId === undefined ? null : <span class="id">{clipped(upstreamRequestId)}</span>],
  ];
  return (
    <dl class="facts" id={callAnchor(call.id)}>
      {facts.filter(([, fact]) => fact !== null && fact !== undefined).map(([name, fact]) => (
        <div>
          <dt>{name}</dt>
          <dd>{fact}</dd>
        </div>
      ))}
    </dl>
  );
}

function namesText(names: readonly (string | undefined)[]): string {
  return [...new Set(names.filter((name) => name !== undefined).map(clipped))].join(" · ");
}

/** The end of the id; a link if the call is on the same page. */
export function CallLink({ id, isShown }: { readonly id: string; readonly isShown: boolean }) {
  const end = `…${clipped(id.slice(-END_LENGTH))}`;
  if (!isShown) return <span class="id" title={clipped(id)}>{end}</span>;
  return <a class="id" href={`#${encodeURIComponent(callAnchor(id))}`} title={clipped(id)}>{end}</a>;
}

const END_LENGTH = 6;

function rounded(place: number): string {
  return place.toFixed(1);
}
