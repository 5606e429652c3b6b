/**
 * What following calls in flight costs. Paced calls run through the proxy, and each round measures
 * the proxy's CPU time with no viewer, one and five, in an order that turns from round to round.
 * The cost of viewers is the difference to no viewer in the same round. A viewer opens the live
 * page and follows its events.
 */
import { createParser } from "eventsource-parser";
import { LIVE_PAGE } from "../src/http/dashboard/live/live_page.tsx";
import { llmproxy, startUpstream } from "./contenders.ts";
import { type Browser, signIn } from "./dashboard.ts";
import { runLoad } from "./load.ts";
import { cpuMs, denoCommand, family } from "./processes.ts";
import { medianOf, printTable, show } from "./table.ts";

export const LIVE_DEFAULTS = { calls: 200, rounds: 5, seconds: 10 } as const;
const VIEWERS = [0, 1, 5] as const;
/** One event of each call for each update of the page, so that every row changes every time. */
const EVENTS_A_SECOND = 10;
const SECONDS_A_CALL = 10;
const OPEN_SECONDS = 3;
/** For viewers to open the page and get its first rows. */
const SETTLE_SECONDS = 1;
const BODY_BYTES = 10_000;
const TARGET = { percent: 10, updatesASecond: 9 } as const;

export interface LiveOptions {
  readonly calls: number;
  readonly rounds: number;
  readonly seconds: number;
}

interface Window {
  readonly viewers: number;
  /** Of one core, by the proxy with its children. */
  readonly percent: number;
  /** Of one viewer; null without any. */
  readonly updatesASecond: number | null;
  readonly kilobytesASecond: number | null;
}

export async function measureLive(dir: string, { calls, rounds, seconds }: LiveOptions): Promise<void> {
  const upstream = await startUpstream({ dir, place: "anywhere" });
  const proxy = await llmproxy("live", {
    command: denoCommand(["main.ts", "serve"]),
    site: { upstreamPort: upstream.port, dir, place: "anywhere", workers: "1", executable: null, after: [] },
  });
  const browser = await signIn(proxy.admin!);
  const load = runLoad(proxy, {
    ask: { kind: "paced", events: SECONDS_A_CALL * EVENTS_A_SECOND, perSecond: EVENTS_A_SECOND },
    bodyBytes: BODY_BYTES,
    atOnce: calls,
    seconds: OPEN_SECONDS + SETTLE_SECONDS + rounds * VIEWERS.length * (seconds + 2 * SETTLE_SECONDS),
    openSeconds: OPEN_SECONDS,
  });
  await pause(OPEN_SECONDS + SETTLE_SECONDS);
  const windows: Window[][] = [];
  for (let round = 0; round < rounds; round++) {
    const turn = round % VIEWERS.length;
    const measured: Window[] = [];
    for (const viewers of [...VIEWERS.slice(turn), ...VIEWERS.slice(0, turn)]) {
      measured.push(await watched(viewers, { browser, pid: proxy.process!.pid, seconds }));
    }
    windows.push(measured);
  }
  const inFlight = /[\d,]+ calls? in flight/.exec(await browser.get(LIVE_PAGE.path))?.[0] ?? "no call in flight";
  console.log(`${inFlight}, ${EVENTS_A_SECOND} events a second each; ${rounds} rounds of ${seconds} s`);
  printTable(VIEWERS.map((viewers) => lineOf(viewers, windows)));
  const { errors, firstError } = await load;
  if (errors > 0) throw new Error(`${errors} calls failed: ${firstError}`);
}

async function watched(
  viewers: number,
  { browser, pid, seconds }: { readonly browser: Browser; readonly pid: number; readonly seconds: number },
): Promise<Window> {
  const seen = { updates: 0, bytes: 0 };
  const leaving = new AbortController();
  const following = Array.from({ length: viewers }, () => follow(browser, { seen, leaving: leaving.signal }));
  try {
    await Promise.race([pause(SETTLE_SECONDS), ...following]);
    const [before, cpu, began] = [{ ...seen }, cpuMs(family(pid)), performance.now()];
    await Promise.race([pause(seconds), ...following]);
    const ms = performance.now() - began;
    const ofOne = (count: number) => viewers === 0 ? null : count / viewers / ms * 1_000;
    return {
      viewers,
      percent: (cpuMs(family(pid)) - cpu) / ms * 100,
      updatesASecond: ofOne(seen.updates - before.updates),
      kilobytesASecond: ofOne((seen.bytes - before.bytes) / 1_000),
    };
  } finally {
    leaving.abort();
    await Promise.all(following);
  }
}

/** Resolves when it has left. Rejects if the events end before. */
async function follow(
  browser: Browser,
  { seen, leaving }: { readonly seen: { updates: number; bytes: number }; readonly leaving: AbortSignal },
): Promise<void> {
  const path = /data-calls="([^"]+)"/.exec(await browser.get(LIVE_PAGE.path))![1]!.replaceAll("&amp;", "&");
  const reader = (await browser.follow(path)).getReader();
  leaving.addEventListener("abort", () => void reader.cancel().catch(() => {}));
  const parser = createParser({ onEvent: () => void seen.updates++ });
  const decoder = new TextDecoder();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    seen.bytes += read.value.length;
    parser.feed(decoder.decode(read.value, { stream: true }));
  }
  if (!leaving.aborted) throw new Error("the events of the live page ended");
}

/** Medians of the rounds; `more` is the difference to the same round without viewers. */
function lineOf(viewers: number, rounds: readonly (readonly Window[])[]): Readonly<Record<string, string>> {
  const of = (round: readonly Window[], count: number) => round.find((window) => window.viewers === count)!;
  const those = rounds.map((round) => of(round, viewers));
  const more = medianOf(rounds.map((round) => of(round, viewers).percent - of(round, 0).percent))!;
  const updates = medianOf(those.map(({ updatesASecond }) => updatesASecond));
  const missed = [more > TARGET.percent ? "CPU!" : "", updates !== null && updates < TARGET.updatesASecond ? "updates!" : ""];
  return {
    viewers: String(viewers),
    "% of a core": show(medianOf(those.map(({ percent }) => percent))),
    more: viewers === 0 ? "-" : show(more),
    "updates/s": show(updates),
    "kB/s": show(medianOf(those.map(({ kilobytesASecond }) => kilobytesASecond))),
    missed: missed.join(" ").trim(),
  };
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
}
