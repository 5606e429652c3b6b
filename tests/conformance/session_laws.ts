import assert from "node:assert/strict";
import { MOST_SEARCHED_CALLS, type SessionRecords } from "../../src/domain/sessions.ts";
import type { Store } from "../../src/domain/store.ts";
import { callOf, rowOf, T0, traceOf } from "./samples.ts";

/** The laws of every store about sessions. `open` returns an empty one. */
export function sessionLaws(
  name: string,
  open: () => Promise<{ readonly store: Store & SessionRecords; readonly dispose: () => Promise<void> }>,
): void {
  function law(words: string, holds: (store: Store & SessionRecords) => Promise<void>): void {
    Deno.test(`${name}: ${words}`, async () => {
      const { store, dispose } = await open();
      try {
        await holds(store);
      } finally {
        await dispose();
      }
    });
  }

  law("findTrace() finds the trace of that workspace and id, with the time when it was made, and no other", async (store) => {
    const trace = { ...traceOf(callOf({ traceId: "at-1" })), source: "inferred" };
    await store.recordTraces([trace]);
    await store.recordTraces([{ ...trace, sandboxId: "sb-2", createdAt: T0 + 7, updatedAt: T0 + 9 }]);
    assert.deepEqual(await store.findTrace("w-1", "at-1"), { ...trace, updatedAt: T0 + 9 });
    assert.deepEqual([await store.findTrace("w-2", "at-1"), await store.findTrace("w-1", "at-2")], [null, null]);
  });

  law(
    "findAgent() finds the trace of the agent's latest call, in that sandbox of that workspace and since that time only",
    async (store) => {
      const called = { agentId: "ses_child", traceId: "at-old", createdAt: T0 };
      await store.recordUsage([
        rowOf(called),
        rowOf({ ...called, traceId: "at-new", createdAt: T0 + 5 }),
        rowOf({ agentId: "ses_other", traceId: "at-other", createdAt: T0 + 6 }),
        rowOf({ traceId: "at-main", createdAt: T0 + 7 }),
        rowOf({ ...called, traceId: "at-foreign", sandboxId: "sb-2", createdAt: T0 + 8 }),
        rowOf({ ...called, traceId: "at-foreign", workspaceId: "w-2", createdAt: T0 + 9 }),
      ]);
      const asked = { workspaceId: "w-1", sandboxId: "sb-1", agentId: "ses_child", since: T0 };
      assert.equal(await store.findAgent(asked), "at-new");
      assert.equal(await store.findAgent({ ...asked, since: T0 + 6 }), null);
      assert.equal(await store.findAgent({ ...asked, agentId: "ses_nobody" }), null);
      assert.equal(await store.findAgent({ ...asked, sandboxId: "sb-3" }), null);
    },
  );

  law("findAgent() looks at a bounded number of the sandbox's latest calls", async (store) => {
    const later = Array.from({ length: MOST_SEARCHED_CALLS - 1 }, (_, n) => rowOf({ createdAt: T0 + 1 + n }));
    const asked = { workspaceId: "w-1", sandboxId: "sb-1", agentId: "ses_child", since: T0 };
    await store.recordUsage([rowOf({ agentId: "ses_child", createdAt: T0 }), ...later]);
    assert.equal(await store.findAgent(asked), "at-1");
    await store.recordUsage([rowOf({ createdAt: T0 + 10_000 })]);
    assert.equal(await store.findAgent(asked), null);
  });
}
