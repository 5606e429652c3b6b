import assert from "node:assert/strict";
import { type Bound, type LimitKind, type LimitRecords, periodOf, type Reservation } from "../../src/domain/limits.ts";
import type { Store } from "../../src/domain/store.ts";
import { REVISION } from "../../src/domain/usage.ts";
import { callOf, closingOf, rowOf, stampAt, T0, traceOf } from "./samples.ts";

/** Of a holder that knows all its calls. */
const SIGN = { holders: ["dead"], running: [], before: 0 };
const DAY_MS = 86_400_000;

type Limited = Store & LimitRecords;

/** The laws of every store about limits. `open` returns an empty one. */
export function limitLaws(
  name: string,
  open: () => Promise<{
    readonly store: Limited;
    readonly dispose: () => Promise<void>;
    /** Makes the leases of all holders end. */
    readonly expire: () => Promise<void>;
  }>,
): void {
  function law(words: string, holds: (store: Limited, more: { readonly expire: () => Promise<void> }) => Promise<void>): void {
    Deno.test(`${name}: ${words}`, async () => {
      const { store, dispose, expire } = await open();
      try {
        await holds(store, { expire });
      } finally {
        await dispose();
      }
    });
  }

  law("setLimits() and listLimits() keep one limit for each place and kind, and count each change", async (store) => {
    assert.deepEqual(await store.listLimits(), []);
    const before = await store.limitsVersion();
    const place = { scope: "workspace", workspaceId: "w-1", id: "" } as const;
    await store.setLimits(place, [{ kind: "rpd", max: 10 }, { kind: "cost_per_day", max: 5_000_000_000 }], stampAt(T0));
    await store.setLimits(place, [{ kind: "rpd", max: 20 }], stampAt(T0 + 1));
    await store.setLimits({ scope: "trace", workspaceId: "w-1", id: "at-1" }, [{ kind: "concurrent", max: 0 }], stampAt(T0 + 2));
    await store.setLimits(place, [{ kind: "cost_per_day", max: null }, { kind: "tokens_per_day", max: null }], stampAt(T0 + 3));
    const found = (await store.listLimits()).toSorted((a, b) => a.kind < b.kind ? -1 : 1);
    assert.deepEqual(found, [
      { scope: "trace", workspaceId: "w-1", id: "at-1", kind: "concurrent", max: 0, updatedAt: T0 + 2 },
      { ...place, kind: "rpd", max: 20, updatedAt: T0 + 1 },
    ]);
    assert.equal(await store.limitsVersion(), before + 4);
  });

  for (
    const { kind, max, tokens, cost } of [
      { kind: "rpd", max: 50, tokens: 1, cost: 1 },
      { kind: "tokens_per_day", max: 5_000, tokens: 100, cost: 1 },
      { kind: "cost_per_day", max: 5_000_000_000, tokens: 1, cost: 100_000_000 },
      { kind: "cost_per_month", max: 5_000_000_000, tokens: 1, cost: 100_000_000 },
      { kind: "concurrent", max: 50, tokens: 1, cost: 1 },
    ] as const
  ) {
    law(`of 300 calls at once, a limit of ${kind} with room for 50 admits exactly 50`, async (store) => {
      const admitted = await Promise.all(
        Array.from({ length: 300 }, () => store.reserve(reservationOf({ tokens, cost }), [boundOf(kind, max)])),
      );
      assert.equal(admitted.filter(({ isAdmitted }) => isAdmitted).length, 50);
      assert.deepEqual(await store.reserve(reservationOf({ tokens, cost }), [boundOf(kind, max)]), {
        isAdmitted: false,
        used: [max],
      });
    });
  }

  law("reserve() admits if every bound has room, holds nothing otherwise, and says what each bound has used", async (store) => {
    const bounds = [boundOf("rpd", 2), boundOf("tokens_per_day", 100)];
    assert.deepEqual(await store.reserve(reservationOf({ tokens: 60 }), bounds), { isAdmitted: true, used: [0, 0] });
    assert.deepEqual(await store.reserve(reservationOf({ tokens: 60 }), bounds), { isAdmitted: false, used: [1, 60] });
    assert.deepEqual(await store.reserve(reservationOf({ tokens: 40 }), bounds), { isAdmitted: true, used: [1, 60] });
    assert.deepEqual(await store.usedOf("w-1", bounds), [2, 100]);
  });

  law("a row that lands takes the place of what its call held, in the same step for all bounds", async (store) => {
    const bounds = everyScope("cost_per_day", 1_000);
    const call = reservationOf({ tokens: 10, cost: 600 });
    await store.reserve(call, bounds);
    assert.deepEqual(await store.usedOf("w-1", bounds), [600, 600, 600]);
    await store.recordUsage([rowOfHeld(call, 250)]);
    assert.deepEqual(await store.usedOf("w-1", bounds), [250, 250, 250]);
    await store.recordUsage([rowOfHeld(call, 250)]);
    await store.hold([{ ...call, isRunning: false }]);
    assert.deepEqual(await store.usedOf("w-1", bounds), [250, 250, 250]);
    assert.deepEqual(await store.usedOf("w-1", [boundOf("concurrent", 1)]), [0]);
  });

  law("a higher revision of a row, as a new price makes it, changes what is used by the difference", async (store) => {
    const bounds = everyScope("cost_per_month", 1_000);
    const call = reservationOf({ cost: 600 });
    await store.recordUsage([rowOfHeld(call, 250)]);
    await store.recordUsage([{ ...rowOfHeld(call, 300), revision: REVISION.closed + 1 }]);
    assert.deepEqual(await store.usedOf("w-1", bounds), [300, 300, 300]);
  });

  law("rows of calls that held nothing count: batch lines, imports, and calls before the limit", async (store) => {
    await store.recordUsage([
      rowOf({ kind: "batch_line" }, { inputTokens: 1, outputTokens: 2, cacheReadInputTokens: 4, cacheCreationInputTokens: 8 }),
      rowOf({}, { inputTokens: 16 }),
      { ...rowOf({}), closing: closingOf({}, { outcome: "unknown", accuracy: "unknown", cost: null }) },
    ]);
    assert.deepEqual(await store.usedOf("w-1", everyScope("rpd", 1)), [3, 3, 3]);
    assert.deepEqual(await store.usedOf("w-1", everyScope("tokens_per_day", 1)), [31, 31, 31]);
    assert.deepEqual(await store.usedOf("w-1", everyScope("cost_per_day", 1)), [2_000, 2_000, 2_000]);
  });

  law("only calls of the place and of the period count", async (store) => {
    const others = [
      reservationOf({ workspaceId: "w-2" }),
      reservationOf({ sandboxId: "sb-2" }),
      reservationOf({ traceId: "at-2" }),
      reservationOf({ createdAt: T0 - 1 }),
      reservationOf({ createdAt: T0 + DAY_MS }),
    ];
    await store.hold(others.map((other) => ({ ...other, isRunning: true })));
    const used = () => store.usedOf("w-1", everyScope("rpd", 1));
    assert.deepEqual(await used(), [2, 1, 1]);
    await store.recordUsage(others.map((other) => rowOfHeld(other, 1)));
    assert.deepEqual(await used(), [2, 1, 1]);
    assert.deepEqual(await store.usedOf("w-1", everyScope("cost_per_month", 1)), [3, 2, 2]);
  });

  law("settle() returns what a call did not use and frees its place; release() returns all", async (store) => {
    const [ended, never, running] = [reservationOf({ cost: 500 }), reservationOf({ cost: 500 }), reservationOf({ cost: 500 })];
    for (const call of [ended, never, running]) await store.reserve(call, [boundOf("cost_per_day", 2_000)]);
    await store.settle([{ id: ended.id, tokens: 1, cost: 20 }, { id: "ar-unknown", tokens: 1, cost: 1 }]);
    await store.release([never.id, "ar-unknown"]);
    assert.deepEqual(await store.usedOf("w-1", [boundOf("cost_per_day", 1), boundOf("concurrent", 1)]), [520, 1]);
  });

  law("what a silent holder's running calls hold is free, and what its ended calls used is not", async (store, { expire }) => {
    const [running, ended] = [reservationOf({ cost: 500, holder: "dead" }), reservationOf({ cost: 500, holder: "dead" })];
    const bounds = [boundOf("cost_per_day", 1_000), boundOf("concurrent", 2)];
    for (const call of [running, ended]) await store.reserve(call, bounds);
    await store.settle([{ id: ended.id, tokens: 1, cost: 30 }]);
    assert.deepEqual(await store.usedOf("w-1", bounds), [530, 1]);
    await expire();
    assert.deepEqual(await store.usedOf("w-1", bounds), [30, 0]);
    await store.renewHolders(SIGN);
    assert.deepEqual(await store.usedOf("w-1", bounds), [530, 1]);
    await expire();
    await store.recordUsage([rowOfHeld(running, 100)]);
    await store.renewHolders(SIGN);
    assert.deepEqual(await store.usedOf("w-1", bounds), [130, 0]);
  });

  law("a running call that its holder does not know holds nothing, once it is old enough", async (store) => {
    const [known, unknown, young] = [reservationOf(), reservationOf(), reservationOf({ createdAt: T0 + 1 })];
    for (const call of [known, unknown, young]) await store.reserve(call, [boundOf("rpd", 10)]);
    await store.renewHolders({ holders: ["run-1"], running: [known.id], before: T0 + 1 });
    assert.deepEqual(await store.usedOf("w-1", [boundOf("concurrent", 1)]), [2]);
  });

  law("shipping, settling and reserving at the same time never wait for each other in a circle", async (store) => {
    const calls = Array.from({ length: 200 }, (_, n) => reservationOf({ cost: 1, traceId: `at-${n % 7}` }));
    await store.hold(calls.map((call) => ({ ...call, isRunning: true })));
    const reversed = calls.toReversed();
    await Promise.all([
      store.recordUsage(reversed.map((call) => rowOfHeld(call, 1))),
      store.settle(calls.map(({ id }) => ({ id, tokens: 0, cost: 1 }))),
      ...calls.slice(0, 20).map(() => store.reserve(reservationOf({ cost: 1 }), [boundOf("cost_per_day", 1_000)])),
    ]);
    assert.deepEqual(await store.usedOf("w-1", [boundOf("cost_per_day", 1)]), [220]);
  });
}

function reservationOf(given: Partial<Reservation> = {}): Reservation {
  const { id, workspaceId, sandboxId, traceId, createdAt } = callOf();
  return { id, workspaceId, sandboxId, traceId, createdAt, holder: "run-1", tokens: 1, cost: 1, ...given };
}

function boundOf(kind: LimitKind, max: number): Bound {
  return { kind, max, scope: "workspace", id: "w-1", ...periodOf(kind, T0) };
}

function everyScope(kind: LimitKind, max: number): readonly Bound[] {
  const bound = boundOf(kind, max);
  return [bound, { ...bound, scope: "sandbox", id: "sb-1" }, { ...bound, scope: "trace", id: "at-1" }];
}

function rowOfHeld({ id, workspaceId, sandboxId, traceId, createdAt }: Reservation, cost: number) {
  const call = callOf({ id, workspaceId, sandboxId, traceId, createdAt });
  return { call, closing: closingOf({}, { cost }), revision: REVISION.closed, trace: traceOf(call) };
}
