import assert from "node:assert/strict";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { runningCallOf } from "../../../../tests/running_calls.ts";
import { isPending, waitFor } from "../../../../tests/wait.ts";
import type { RefusalCount } from "../../../domain/ledger.ts";
import type { RunningCall } from "../../../domain/running_call.ts";
import { AdminRefusal } from "../../admin_refusal.ts";
import { LiveHub, MOST_ROWS, MOST_WATCHERS, type WatchOptions } from "./live_hub.ts";

interface Scene extends Disposable {
  readonly hub: LiveHub;
  /** What runs; a test changes it. */
  calls: RunningCall[];
  /** What was refused lately; null: the store is away. A test changes it. */
  refusals: RefusalCount[] | null;
  /** How often the calls were listed. */
  readonly listed: () => number;
  readonly drain: () => void;
  readonly watch: (options?: Partial<WatchOptions>) => Page;
}

interface Page {
  /** The next message, or the reason for which the stream ended. */
  // deno-lint-ignore no-explicit-any -- a test looks into messages of every shape
  readonly next: () => Promise<any>;
  readonly leave: () => Promise<void>;
}

function scene(list?: () => Promise<readonly RunningCall[]>): Scene {
  const draining = new AbortController();
  const troubles: unknown[] = [];
  const pages: Page[] = [];
  let listed = 0;
  const hub = new LiveHub({
    requests: {
      list: () => {
        listed++;
        return list?.() ?? Promise.resolve(made.calls);
      },
    },
    refusals: () => made.refusals === null ? Promise.reject(new Error("away")) : Promise.resolve(made.refusals),
    draining: draining.signal,
    onTrouble: (error) => void troubles.push(error),
  });
  const made: Scene = {
    hub,
    calls: [],
    refusals: null,
    listed: () => listed,
    drain: () => draining.abort(),
    watch: (options = {}) => {
      const page = pageOf(hub.watch({
        keeps: () => true,
        ordered: (calls) => calls,
        rowOf: ({ id }) => `<tr>${id}</tr>`,
        refusedRowsOf: (all) => all.map(({ fault, count }) => `${count} ${fault}`).join(),
        isSignedIn: () => Promise.resolve(true),
        ...options,
      }));
      pages.push(page);
      return page;
    },
    [Symbol.dispose]: () => pages.forEach((page) => void page.leave()),
  };
  return made;
}

/** Nothing is read ahead: the stream is asked for a message when the test is. */
function pageOf(stream: ReadableStream<Uint8Array>): Page {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  const messages: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => void messages.push(message) });
  return {
    next: async () => {
      for (;;) {
        const message = messages.shift();
        if (message !== undefined) return message.event === "end" ? message.data : JSON.parse(message.data);
        const { value, done } = await reader.read();
        if (done) return "over";
        parser.feed(decoder.decode(value, { stream: true }));
      }
    },
    leave: () => reader.cancel(),
  };
}

const NO_MORE = new Promise<never>(() => {});

Deno.test("LiveHub looks once for all pages, and not at all while no page watches", async () => {
  using live = scene();
  const pages = [live.watch(), live.watch(), live.watch()];
  assert.equal(live.listed(), 0);
  for (const page of pages) assert.deepEqual(await page.next(), { sum: "No call is in flight", isFirst: true });
  const [listed, looks] = [live.listed(), live.hub.looks];
  assert.equal(listed, looks);
  assert.ok(listed <= 4, `${listed} lists for three pages`);
  for (const page of pages) await page.leave();
  await waitFor(() => isPending(NO_MORE, 250).then(() => live.listed() === live.hub.looks), { what: "the last look" });
  const after = live.listed();
  await isPending(NO_MORE, 450);
  assert.equal(live.listed(), after);
});

Deno.test("LiveHub sends rows that began, cells that changed and ids that ended, and nothing without news", async () => {
  using live = scene();
  live.calls = [runningCallOf()];
  const page = live.watch();
  assert.deepEqual(await page.next(), {
    sum: "1 call in flight · 1,250 tokens · $0.0012 so far",
    isFirst: true,
    added: [["ar-1", "<tr>ar-1</tr>"]],
  });
  const next = page.next();
  assert.ok(await isPending(next, 350), "a message without news");
  live.calls = [runningCallOf({ outputTokens: 2_000, ageMs: 61_000 })];
  assert.deepEqual(await next, {
    sum: "1 call in flight · 3,200 tokens · $0.0012 so far",
    changed: [["ar-1", { output: "≈ 2,000" }]],
  });
  live.calls = [runningCallOf({ id: "ar-2" })];
  const { added, gone, changed } = await page.next();
  assert.deepEqual([added, gone, changed], [[["ar-2", "<tr>ar-2</tr>"]], ["ar-1"], undefined]);
});

Deno.test("LiveHub sends each page its own calls, and fills the room of those that ended", async () => {
  using live = scene();
  const many = Array.from({ length: MOST_ROWS + 2 }, (_, n) => runningCallOf({ id: `ar-${n}`, sandboxId: `sb-${n % 2}` }));
  live.calls = many;
  const [all, one] = [live.watch(), live.watch({ keeps: ({ sandboxId }) => sandboxId === "sb-1" })];
  const [first, ofOne] = [await all.next(), await one.next()];
  assert.equal(first.added.length, MOST_ROWS);
  assert.match(first.sum, /^202 calls in flight/);
  assert.deepEqual([ofOne.added.length, ofOne.sum.split(" ")[0]], [MOST_ROWS / 2 + 1, "101"]);
  live.calls = many.slice(1);
  const { added, gone } = await all.next();
  assert.deepEqual([added.map(([id]: [string]) => id), gone], [[`ar-${MOST_ROWS}`], ["ar-0"]]);
  assert.ok(await isPending(one.next(), 350), "a page was told of another's call");
});

Deno.test("LiveHub tells a page that reads slowly the latest of each row, once", async () => {
  using live = scene();
  live.calls = [runningCallOf(), runningCallOf({ id: "ar-2" })];
  const page = live.watch();
  await page.next();
  for (const outputTokens of [60, 70, 80]) {
    const from = live.hub.looks;
    live.calls = [runningCallOf({ outputTokens }), runningCallOf({ id: "ar-2", model: "other" })];
    await waitFor(() => live.hub.looks > from + 1, { what: "a look" });
  }
  const { changed } = await page.next();
  assert.deepEqual(changed, [["ar-1", { output: "≈ 80" }], ["ar-2", { model: "other" }]]);
});

Deno.test("LiveHub sends what was refused if that has changed, also while the store is away for a while", async () => {
  using live = scene();
  const page = live.watch();
  assert.deepEqual(await page.next(), { sum: "No call is in flight", isFirst: true });
  const next = page.next();
  const refusal = { workspaceId: "acme", sandboxId: "sb-1", fault: "over_rpd", minute: 0, count: 1 } as const;
  live.refusals = [refusal];
  assert.deepEqual(await next, { sum: "No call is in flight", refused: "1 over_rpd" });
  const again = page.next();
  live.refusals = null;
  assert.ok(await isPending(again, 1_500), "a message without news");
  live.refusals = [{ ...refusal, count: 2 }];
  assert.equal((await again).refused, "2 over_rpd");
  assert.equal((await live.watch().next()).refused, "2 over_rpd", "a page that comes later");
});

Deno.test("LiveHub ends all streams at a drain, and refuses new ones", async () => {
  using live = scene();
  const pages = [live.watch(), live.watch()];
  for (const page of pages) await page.next();
  live.drain();
  for (const page of pages) assert.deepEqual([await page.next(), await page.next()], ["draining", "over"]);
  assert.throws(() => live.watch(), (error: AdminRefusal) => error.type === "unavailable_error");
});

Deno.test("LiveHub ends a stream whose session is over, and no other", async () => {
  using live = scene();
  let isSignedIn = true;
  const [out, other] = [live.watch({ isSignedIn: () => Promise.resolve(isSignedIn) }), live.watch()];
  await out.next();
  await other.next();
  isSignedIn = false;
  assert.deepEqual([await out.next(), await out.next()], ["signed-out", "over"]);
  live.calls = [runningCallOf()];
  assert.deepEqual((await other.next()).added.length, 1);
});

Deno.test("LiveHub ends all streams if the calls cannot be listed, and begins again for the next", async () => {
  let isBroken = true;
  using live = scene(() => isBroken ? Promise.reject(new Error("broken")) : Promise.resolve([]));
  assert.equal(await live.watch().next(), "failed");
  isBroken = false;
  assert.equal((await live.watch().next()).isFirst, true);
});

Deno.test(`LiveHub has at most ${MOST_WATCHERS} streams, and a page that leaves makes room`, async () => {
  using live = scene();
  const pages = Array.from({ length: MOST_WATCHERS }, () => live.watch());
  for (const page of pages) await page.next();
  assert.throws(() => live.watch(), (error: AdminRefusal) => error.type === "overloaded_error");
  await pages[0]!.leave();
  assert.equal((await live.watch().next()).isFirst, true);
});
