import type { FaultCode } from "../../src/domain/fault.ts";
import type { RunRefusals } from "../../src/domain/ledger.ts";
import { type DemoCall, endOf, INSTANCE } from "./calls.ts";
import { type Dice, diceOf } from "./dice.ts";
import { type DemoSandbox, fleetOf } from "./fleet.ts";
import { codingSession, type DemoSession, singleCall } from "./sessions.ts";
import { cutCall, type DemoBatch, nightlyBatch, runawaySession } from "./stories.ts";

export interface MonthOptions {
  /** The end of the month, milliseconds since the epoch. */
  readonly now: number;
  readonly seed: number;
  readonly sandboxes: number;
  readonly days: number;
}

/** What a fleet leaves behind in a month, the same for the same options. */
export interface Month {
  readonly start: number;
  readonly now: number;
  readonly fleet: readonly DemoSandbox[];
  /** In the order of their admission; all have ended. */
  readonly calls: readonly DemoCall[];
  readonly traces: readonly DemoSession["trace"][];
  readonly batches: readonly DemoBatch["batch"][];
  readonly refusals: readonly RunRefusals[];
  readonly runaway: Runaway;
  readonly suspended: Suspended;
}

/** The sandbox that spent most yesterday, until a limit stopped it. */
export interface Runaway {
  readonly sandbox: DemoSandbox;
  /** As Claude Code names it; the trace is named after it. */
  readonly sessionId: string;
  readonly traceId: string;
  readonly limitedAt: number;
}

/** A sandbox that lost its token, and is suspended since. */
export interface Suspended {
  readonly sandbox: DemoSandbox;
  readonly at: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** How often an agent asks again that was refused. */
const ASKS_AGAIN_MS = 4 * MINUTE_MS;
const PACE = { prompts: 3, turns: 7, subagents: 3 };
/** Of sandboxes that ask single questions, for each session of the others. */
const QUESTIONS = 18;

export function demoMonth({ now, seed, sandboxes, days }: MonthOptions): Month {
  const dice = diceOf(seed);
  const fleet = fleetOf(sandboxes, dice);
  const start = dayOf(now) - (days - 1) * DAY_MS;
  const suspended = { sandbox: lastOf(fleet, "docs"), at: Math.max(start + HOUR_MS, now - 2 * DAY_MS - 3 * HOUR_MS) };
  const wild = lastOf(fleet, "search");
  const sessionId = dice.uuid();
  const wildSession = runawaySession(wild, dayOf(now) - DAY_MS + 9 * HOUR_MS + 40 * MINUTE_MS, {
    ...{ sessionId, calls: runawayCalls(sandboxes), dice },
  });
  const limitedAt = Math.max(...wildSession.calls.map(endOf));
  const runaway = { sandbox: wild, sessionId, traceId: wildSession.trace.id, limitedAt };
  const sessions: readonly (DemoSession | DemoBatch)[] = [
    ...[wildSession, cutCall(suspended.sandbox, suspended.at, dice)],
    ...daysOf(start, now).flatMap((day) => dayOfFleet(fleet, day, dice)),
  ];
  const happened = happenedBy(now, { runaway, suspended });
  const real = sessions.map((session) => ({ ...session, calls: session.calls.filter(happened) }))
    .filter(({ calls }) => calls.length > 0);
  const refusals = [
    ...refusedWhile("over_cost_per_day", wild, { from: limitedAt, until: limitedAt + 4 * HOUR_MS }),
    ...refusedWhile("suspended", suspended.sandbox, { from: suspended.at, until: suspended.at + 6 * HOUR_MS }),
    ...mishaps(fleet, { start, now, dice }),
  ];
  return {
    ...{ start, now, fleet, suspended, runaway },
    calls: real.flatMap(({ calls }) => calls).sort((a, b) => a.call.createdAt - b.call.createdAt),
    traces: real.map(({ trace, calls }) => ({ ...trace, updatedAt: calls.at(-1)!.call.createdAt })),
    batches: real.flatMap((session) => "batch" in session ? [session.batch] : []),
    refusals: refusals.filter(({ minute }) => minute <= now),
  };
}

/** Calls that have ended, and that no limit and no suspension refused. */
function happenedBy(now: number, { runaway, suspended }: Pick<Month, "runaway" | "suspended">): (call: DemoCall) => boolean {
  const freeAgainAt = dayOf(runaway.limitedAt) + DAY_MS;
  return (made) => {
    const { sandboxId, createdAt } = made.call;
    if (sandboxId === suspended.sandbox.sandboxId && createdAt > suspended.at) return false;
    const isLimited = sandboxId === runaway.sandbox.sandboxId && createdAt > runaway.limitedAt && createdAt < freeAgainAt;
    return !isLimited && endOf(made) <= now;
  };
}

function daysOf(start: number, now: number): readonly number[] {
  return Array.from({ length: Math.ceil((now - start) / DAY_MS) }, (_, n) => start + n * DAY_MS);
}

function dayOfFleet(fleet: readonly DemoSandbox[], day: number, dice: Dice): readonly (DemoSession | DemoBatch)[] {
  const sessions = fleet.flatMap((sandbox) => dayOfSandbox(sandbox, day, dice));
  return isWorkday(day) ? [...sessions, nightlyBatch(lastOf(fleet, "data-platform"), day + 90 * MINUTE_MS, dice)] : sessions;
}

/** A fleet of fifty has so large a runaway; a smaller one a smaller. */
function runawayCalls(sandboxes: number): number {
  return Math.min(1_000, Math.max(60, 20 * sandboxes));
}

function lastOf(fleet: readonly DemoSandbox[], workspaceId: string): DemoSandbox {
  return fleet.findLast((sandbox) => sandbox.workspaceId === workspaceId)!;
}

/** What a sandbox does on one day of UTC: mostly in the working hours of its people. */
function dayOfSandbox(sandbox: DemoSandbox, day: number, dice: Dice): readonly DemoSession[] {
  const busyness = sandbox.sessionsPerDay * (isWorkday(day) ? 1 : 0.12);
  const isBot = sandbox.client === "anthropic-sdk-python";
  const count = poisson(isBot ? busyness * QUESTIONS : busyness, dice);
  return Array.from({ length: count }, () => {
    const at = timeOf(day, sandbox.utcOffset, dice);
    return isBot ? singleCall(sandbox, at, dice) : codingSession(sandbox, at, {
      pace: { ...PACE, prompts: dice.around(PACE.prompts) },
      dice,
    });
  });
}

/** Around ten in the morning and three in the afternoon of the people. */
function timeOf(day: number, utcOffset: number, dice: Dice): number {
  const local = dice.oneOf([[5, 10], [5, 15], [1, 20]]) + (dice.next() + dice.next() - 1) * 3;
  const hour = (local - utcOffset + 24) % 24;
  return Math.floor(day + hour * HOUR_MS);
}

function poisson(mean: number, dice: Dice): number {
  const least = Math.exp(-mean);
  let count = 0;
  for (let product = dice.next(); product > least; product *= dice.next()) count++;
  return count;
}

function refusedWhile(
  fault: FaultCode,
  { workspaceId, sandboxId }: DemoSandbox,
  { from, until }: { readonly from: number; readonly until: number },
): RunRefusals[] {
  const times = Array.from(
    { length: Math.max(0, Math.ceil((until - from) / ASKS_AGAIN_MS)) },
    (_, n) => from + n * ASKS_AGAIN_MS,
  );
  return times.map((time) => ({ workspaceId, sandboxId, fault, minute: minuteOf(time), instanceId: INSTANCE, count: 1 }));
}

/** What goes wrong in every fleet: strangers, a wrong base URL at first, and busy minutes. */
function mishaps(fleet: readonly DemoSandbox[], { start, now, dice }: {
  readonly start: number;
  readonly now: number;
  readonly dice: Dice;
}): RunRefusals[] {
  const nobody = { workspaceId: "", sandboxId: "" };
  const refused = (fault: FaultCode, time: number, who: Pick<RunRefusals, "workspaceId" | "sandboxId">): RunRefusals => ({
    ...{ workspaceId: who.workspaceId, sandboxId: who.sandboxId, fault, minute: minuteOf(time), instanceId: INSTANCE },
    count: dice.whole(1, 6),
  });
  const refusals = [refused("path_misdirected", start + 9 * HOUR_MS, fleet[0]!)];
  for (const day of daysOf(start, now)) {
    const time = () => Math.floor(day + dice.next() * Math.min(DAY_MS, now - day));
    if (dice.chance(0.4)) refusals.push(refused("unauthenticated", time(), nobody));
    if (dice.chance(0.3)) refusals.push(refused("upstream_busy", time(), fleet[dice.whole(0, fleet.length - 1)]!));
  }
  return refusals;
}

function isWorkday(day: number): boolean {
  return ![0, 6].includes(new Date(day).getUTCDay());
}

function dayOf(time: number): number {
  return Math.floor(time / DAY_MS) * DAY_MS;
}

function minuteOf(time: number): number {
  return Math.floor(time / MINUTE_MS) * MINUTE_MS;
}
