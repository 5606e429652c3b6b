import assert from "node:assert/strict";
import { waitFor } from "../../../tests/wait.ts";
import type { SessionRecords } from "../../domain/sessions.ts";
import type { Trace } from "../../domain/trace.ts";
import { cachedSessions } from "./cached_sessions.ts";

const TRACE: Trace = { id: "at-1", workspaceId: "w1", sandboxId: "s1", source: "inferred", createdAt: 1, updatedAt: 2 };
const ASKED = { workspaceId: "w1", sandboxId: "s1", agentId: "a", since: 0 };

function records(trace: Trace | null | Error): SessionRecords {
  const answer = <T>(found: T) => trace instanceof Error ? Promise.reject(trace) : Promise.resolve(found);
  return { findTrace: () => answer(trace as Trace | null), findAgent: () => answer("at-1") };
}

Deno.test("cachedSessions() asks the store, then the spool, and rejects if neither knows", async () => {
  const here = { ...TRACE, createdAt: 9 };
  const away = new Error("away");
  for (
    const [local, store, found] of [
      [here, TRACE, TRACE],
      [null, TRACE, TRACE],
      [away, TRACE, TRACE],
      [here, null, here],
      [here, away, here],
      [null, null, null],
    ] as const
  ) {
    const nearby = cachedSessions({ local: records(local), store: records(store) });
    assert.deepEqual(await nearby.findTrace("w1", "at-1"), found);
  }
  const nobody = cachedSessions({ local: records(null), store: records(away) });
  await assert.rejects(nobody.findTrace("w1", "at-1"), away);
  await assert.rejects(nobody.findAgent(ASKED), away);
  const silent = { findTrace: () => new Promise<never>(() => {}), findAgent: () => new Promise<never>(() => {}) };
  assert.deepEqual(await cachedSessions({ local: records(here), store: silent }).findTrace("w1", "at-1"), here);
});

Deno.test("cachedSessions() asks the store for agents, and for a trace that only the store has", async () => {
  const nearby = cachedSessions({ local: records(null), store: records(TRACE) });
  assert.deepEqual([await nearby.findTrace("w1", "at-1"), await nearby.findAgent(ASKED)], [TRACE, "at-1"]);
});

Deno.test("cachedSessions() asks a slow store four questions at a time, and none that was given up", async () => {
  let asked = 0;
  const answers: (() => void)[] = [];
  const slow = () => {
    asked++;
    return new Promise<null>((resolve) => answers.push(() => resolve(null)));
  };
  const nearby = cachedSessions({ local: records(null), store: { findTrace: slow, findAgent: slow } });
  const questions = Array.from(
    { length: 40 },
    (_, n) => nearby.findTrace("w1", `at-${n}`).then(() => "answered", () => "given up"),
  );
  assert.deepEqual(new Set(await Promise.all(questions)), new Set(["given up"]));
  assert.equal(asked, 4);
  // When it has dealt with those, it is asked again, and the 36 are forgotten.
  for (const answer of answers.splice(0)) answer();
  const next = nearby.findAgent(ASKED);
  await waitFor(() => answers.length > 0, { what: "the next question" });
  for (const answer of answers.splice(0)) answer();
  assert.equal(await next, null);
  assert.equal(asked, 5);
});
