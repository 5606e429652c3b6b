import assert from "node:assert/strict";
import { seededRandom } from "../../tests/conformance/samples.ts";
import type { SessionRecords } from "../domain/sessions.ts";
import type { Trace } from "../domain/trace.ts";
import { inferredIdOf, isInferredId, type Run } from "./sessions.ts";
import { Sessions } from "./sessions.ts";

const HOUR_MS = 3_600_000;
const WINDOW_MS = 12 * HOUR_MS;
/** Not at the beginning of a slot. */
const T0 = Date.UTC(2026, 10, 28, 11, 17);
const RUN: Run = { workspaceId: "w1", sandboxId: "s1", client: "pi", firstMessage: "aa" };

/** What replicas share, answering after some turns of the event loop. */
class SharedRecords implements SessionRecords {
  readonly traces = new Map<string, Trace>();
  readonly agents = new Map<string, string>();
  asked = 0;
  isAway = false;
  turns = () => 1;

  async findTrace(workspaceId: string, id: string): Promise<Trace | null> {
    await this.#answer();
    return this.traces.get(JSON.stringify([workspaceId, id])) ?? null;
  }

  async findAgent(asked: Parameters<SessionRecords["findAgent"]>[0]): Promise<string | null> {
    await this.#answer();
    return this.agents.get(JSON.stringify([asked.workspaceId, asked.sandboxId, asked.agentId])) ?? null;
  }

  /** As a call's row does: the first of a key makes the trace. */
  record({ workspaceId, sandboxId }: Run, { id, at }: { readonly id: string; readonly at: number }): void {
    const key = JSON.stringify([workspaceId, id]);
    if (this.traces.has(key)) return;
    this.traces.set(key, { id, workspaceId, sandboxId, source: "inferred", createdAt: at, updatedAt: at });
  }

  async #answer(): Promise<void> {
    this.asked++;
    for (let turn = this.turns(); turn > 0; turn--) await Promise.resolve();
    if (this.isAway) throw new Error("away");
  }
}

function replica(records: SessionRecords, over: Partial<ConstructorParameters<typeof Sessions>[0]> = {}): Sessions {
  return new Sessions({ records, windowMs: WINDOW_MS, elapsed: () => 0, deadlineMs: 1_000, maxEntries: 100, ...over });
}

/** Places a call and records it. */
async function call(sessions: Sessions, { records, run, at }: {
  readonly records: SharedRecords;
  readonly run: Run;
  readonly at: number;
}): Promise<string> {
  const id = await sessions.inferred(run, at);
  records.record(run, { id, at });
  return id;
}

Deno.test("inferred() is one trace for a run of any length below the window, whenever it starts and whichever replicas see it", async () => {
  const random = seededRandom(8_001);
  for (let n = 0; n < 400; n++) {
    const records = new SharedRecords();
    records.turns = () => Math.floor(random() * 5);
    const replicas = [replica(records), replica(records), replica(records)];
    const start = T0 + Math.floor(random() * 10 * WINDOW_MS);
    const length = Math.floor(random() * WINDOW_MS);
    const times = Array.from({ length: 12 }, () => start + Math.floor(random() * length)).sort((a, b) => a - b);
    const ids = new Set<string>();
    for (const at of [start, ...times, start + length]) {
      const sessions = replicas[Math.floor(random() * replicas.length)]!;
      // A call that breaks is asked again at once, maybe elsewhere.
      const together = [sessions, ...(random() < 0.3 ? replicas : [])];
      for (const id of await Promise.all(together.map((each) => call(each, { records, run: RUN, at })))) ids.add(id);
    }
    assert.equal(ids.size, 1, `run ${n} of ${length} ms from ${start}`);
  }
});

Deno.test("inferred() switches at the same moment on every replica: when the window of the trace's first call is over", async () => {
  const random = seededRandom(8_002);
  for (let n = 0; n < 200; n++) {
    const records = new SharedRecords();
    const [first, ...others] = Array.from({ length: 4 }, () => replica(records));
    const start = T0 + Math.floor(random() * 10 * WINDOW_MS);
    const id = await call(first!, { records, run: RUN, at: start });
    // Some have seen the run later, some never.
    for (const sessions of others.slice(1)) {
      await call(sessions, { records, run: RUN, at: start + Math.floor(random() * HOUR_MS) });
    }
    for (const sessions of [first!, ...others]) {
      assert.equal(await sessions.inferred(RUN, start + WINDOW_MS - 1), id);
      assert.notEqual(await sessions.inferred(RUN, start + WINDOW_MS), id);
    }
    const next = await Promise.all(
      [first!, ...others].map((sessions) => call(sessions, { records, run: RUN, at: start + WINDOW_MS })),
    );
    assert.equal(new Set(next).size, 1);
    assert.equal(await others[0]!.inferred(RUN, start + 2 * WINDOW_MS - 1), next[0]);
  }
});

Deno.test("inferred() never merges two workspaces, sandboxes, clients or first messages, however they are spelled", async () => {
  const records = new SharedRecords();
  const sessions = replica(records);
  const words = ["", "a", "b", "ab", "a,b", '"a"', "[]", "null", "at-ZZ", "\u0000", "1"];
  const seen = new Map<string, string>();
  for (const workspaceId of words) {
    for (const sandboxId of words) {
      for (const client of [null, ...words]) {
        for (const firstMessage of words.slice(0, 4)) {
          const run = { workspaceId, sandboxId, client, firstMessage };
          const id = await call(sessions, { records, run, at: T0 });
          assert.ok(isInferredId(id));
          assert.equal(seen.get(id), undefined, `${JSON.stringify(run)} and ${seen.get(id)}`);
          seen.set(id, JSON.stringify(run));
        }
      }
    }
  }
  assert.equal(seen.size, 11 * 11 * 12 * 4);
});

Deno.test("inferred() asks the records once a run and slot, however many calls come, also at once", async () => {
  const records = new SharedRecords();
  const sessions = replica(records);
  await Promise.all(Array.from({ length: 50 }, () => sessions.inferred(RUN, T0)));
  for (let n = 0; n < 50; n++) await sessions.inferred(RUN, T0 + n);
  assert.equal(records.asked, 1);
  await sessions.inferred({ ...RUN, firstMessage: "bb" }, T0);
  assert.equal(records.asked, 2);
  for (let n = 0; n < 50; n++) await sessions.inferred(RUN, T0 + WINDOW_MS + n);
  assert.equal(records.asked, 3);
});

Deno.test("inferred() asks once more for what another replica may not have shipped yet when a slot began", async () => {
  const records = new SharedRecords();
  const boundary = Math.ceil(T0 / WINDOW_MS) * WINDOW_MS;
  const [here, there] = [replica(records), replica(records)];
  const id = await here.inferred(RUN, boundary - 100);
  // Nothing has arrived: this one begins a trace of its own, and joins the other's as soon as that
  // can be known.
  assert.notEqual(await there.inferred(RUN, boundary + 100), id);
  assert.equal(await here.inferred(RUN, boundary + 200), id);
  records.record(RUN, { id, at: boundary - 100 });
  assert.equal(await there.inferred(RUN, boundary + 60_000), id);
  const asked = records.asked;
  assert.equal(await there.inferred(RUN, boundary + 60_001), id);
  assert.equal(records.asked, asked);
});

Deno.test("inferred() goes by its own memory while the records are away, waits a bounded time, and asks none of a pile", async () => {
  const boundary = Math.ceil(T0 / WINDOW_MS) * WINDOW_MS;
  const clock = { at: 0 };
  const records = new SharedRecords();
  const sessions = replica(records, { elapsed: () => clock.at });
  const id = await sessions.inferred(RUN, boundary - 1);
  records.isAway = true;
  for (let n = 0; n < 100; n++) assert.equal(await sessions.inferred(RUN, boundary + n), id);
  assert.equal(records.asked, 2);
  clock.at = 5_000;
  await sessions.inferred(RUN, boundary + 200);
  assert.equal(records.asked, 3);

  // One that never answers.
  const silent = { findTrace: () => new Promise<never>(() => {}), findAgent: () => new Promise<never>(() => {}) };
  const other = replica(silent, { deadlineMs: 5 });
  assert.ok(isInferredId(await other.inferred(RUN, T0)));
  const root = await other.rootOf({ workspaceId: "w1", sandboxId: "s1", session: "c", parent: "p" }, T0);
  assert.deepEqual(root, { traceId: "at-p", isParentMain: true });
});

Deno.test("Sessions hold a bounded number of runs and sub-agents", async () => {
  const records = new SharedRecords();
  const sessions = replica(records);
  for (let n = 0; n < 1_000; n++) {
    await sessions.inferred({ ...RUN, firstMessage: String(n) }, T0);
    await sessions.rootOf({ workspaceId: "w1", sandboxId: "s1", session: `c${n}`, parent: `p${n}` }, T0);
  }
  assert.ok(sessions.size <= 300, String(sessions.size));
});

Deno.test("rootOf() finds the session at the top of nested sub-agents, by memory and by the records, and in one sandbox only", async () => {
  const records = new SharedRecords();
  const sessions = replica(records);
  const root = (over: Partial<Parameters<Sessions["rootOf"]>[0]>, from = sessions) =>
    from.rootOf({ workspaceId: "w1", sandboxId: "s1", session: "child", parent: "main", ...over }, T0);
  assert.deepEqual(await root({}), { traceId: "at-main", isParentMain: true });
  assert.deepEqual(await root({ session: "grandchild", parent: "child" }), { traceId: "at-main", isParentMain: false });
  assert.deepEqual(await root({ session: "third", parent: "grandchild" }), { traceId: "at-main", isParentMain: false });
  // Another sandbox, or workspace, with the same names.
  for (const over of [{ sandboxId: "s2" }, { workspaceId: "w2" }]) {
    assert.deepEqual(await root({ session: "grandchild", parent: "child", ...over }), {
      traceId: "at-child",
      isParentMain: true,
    });
  }
  // A replica that has seen none of it.
  records.agents.set(JSON.stringify(["w1", "s1", "child"]), "at-main");
  const fresh = replica(records);
  assert.deepEqual(await root({ session: "grandchild", parent: "child" }, fresh), { traceId: "at-main", isParentMain: false });
  assert.deepEqual(await root({ session: "grandchild", parent: "child", sandboxId: "s2" }, fresh), {
    traceId: "at-child",
    isParentMain: true,
  });
});

Deno.test("rootOf() is not led in circles", async () => {
  const sessions = replica(new SharedRecords());
  const root = (session: string, parent: string) => sessions.rootOf({ workspaceId: "w1", sandboxId: "s1", session, parent }, T0);
  const roots = [await root("a", "b"), await root("b", "a"), await root("a", "b"), await root("b", "a")];
  assert.deepEqual(new Set(roots.map(({ traceId }) => traceId)), new Set(["at-b"]));
});

Deno.test("rootOf() puts no named session into an inferred trace, although a call there names the parent as its agent", async () => {
  const records = new SharedRecords();
  records.agents.set(JSON.stringify(["w1", "s1", "parent"]), inferredIdOf(RUN, 1));
  const root = await replica(records).rootOf({ workspaceId: "w1", sandboxId: "s1", session: "child", parent: "parent" }, T0);
  assert.deepEqual(root, { traceId: "at-parent", isParentMain: true });
});
