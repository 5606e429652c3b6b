import assert from "node:assert/strict";
import { Fault } from "../../domain/fault.ts";
import type { Owned } from "../../domain/owned.ts";
import { waitFor } from "../../../tests/wait.ts";
import { cachedOwners } from "./cached_owners.ts";

const OWNED: Owned = {
  ...{ id: "msg_1", kind: "item", workspaceId: "w-1", sandboxId: "sb-1" },
  ...{ createdAt: 0, call: null, dueAt: null },
};

/** A store that answers, fails or keeps silent, and counts what it is asked. */
function scene(over: { readonly local?: readonly Owned[] } = {}) {
  const silence = Promise.withResolvers<never>();
  silence.promise.catch(() => {});
  const state = { is: "up" as "up" | "failing" | "silent", asked: 0, claimed: 0 };
  const answer = <T>(value: T): Promise<T> => {
    state.asked++;
    if (state.is === "silent") return silence.promise;
    return state.is === "up" ? Promise.resolve(value) : Promise.reject(new Error("it is down"));
  };
  const owners = cachedOwners({
    ledger: { claim: (owned) => Promise.resolve(void (state.claimed += owned.length)) },
    local: { findOwned: (ids) => Promise.resolve((over.local ?? []).filter(({ id }) => ids.includes(id))) },
    store: { findOwned: (ids) => answer([OWNED].filter(({ id }) => ids.includes(id))), recordOwned: () => answer(undefined) },
  });
  return { state, owners, [Symbol.dispose]: () => silence.reject(new Error("it is over")) };
}

Deno.test("cachedOwners() finds an owner in the store once, and then knows it", async () => {
  using place = scene();
  for (let n = 0; n < 2; n++) assert.deepEqual([...(await place.owners.ownersOf(["msg_1"])).keys()], ["msg_1"]);
  assert.equal(place.state.asked, 1);
  await place.owners.ownersOf(["msg_2"]);
  await place.owners.ownersOf(["msg_2"]);
  assert.equal(place.state.asked, 3, "an unknown one may be known a moment later");
});

Deno.test("ownersOf() rejects if the store cannot be asked about an unknown id, and leaves it out if it may miss one", async () => {
  using place = scene({ local: [{ ...OWNED, id: "msg_here" }] });
  place.state.is = "failing";
  const asked = ["msg_here", "msg_1"];
  await assert.rejects(place.owners.ownersOf(asked), (error) => error instanceof Fault && error.code === "ledger_unavailable");
  assert.deepEqual([...(await place.owners.ownersOf(asked, { mayMiss: true })).keys()], ["msg_here"]);
  place.state.is = "up";
  await waitFor(async () => (await place.owners.ownersOf(asked, { mayMiss: true })).size === 2, {
    what: "the store to be asked again",
  });
});

Deno.test("only the first call waits a second for a store that keeps silent, be it for a claim or for a question that may miss", async () => {
  using place = scene();
  place.state.is = "silent";
  const startedAt = performance.now();
  await place.owners.claim([OWNED]);
  const first = performance.now() - startedAt;
  for (let n = 0; n < 10; n++) {
    await place.owners.claim([OWNED]);
    assert.equal((await place.owners.ownersOf(["msg_9"], { mayMiss: true })).size, 0);
  }
  const others = performance.now() - startedAt - first;
  assert.ok(first > 900 && others < first, `${first} ms, and then ${others} ms for twenty`);
  assert.equal(place.state.claimed, 11);
});
