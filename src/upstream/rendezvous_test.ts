import assert from "node:assert/strict";
import { preferred } from "./rendezvous.ts";

const SESSIONS = Array.from({ length: 2_000 }, (_, n) => `["w${n % 40}","at-${n}"]`);
const THREE = ["a", "b", "c"].map((id) => ({ id, weight: 1 }));
const FOUR = [...THREE, { id: "d", weight: 1 }];

function placesIn(candidates: typeof FOUR, isUsable?: (candidate: { readonly id: string }) => boolean) {
  return SESSIONS.map((session) => preferred(candidates, session, isUsable)!.id);
}

function shareOf(places: readonly string[], id: string): number {
  return places.filter((place) => place === id).length / places.length;
}

Deno.test("preferred() moves a quarter of the sessions to a fourth of equal weight, and none between the others", () => {
  const [before, after] = [placesIn(THREE), placesIn(FOUR)];
  const moved = after.filter((place, n) => place !== before[n]);
  const share = moved.length / SESSIONS.length;
  assert.ok(share >= 0.2 && share <= 0.3, `${share} moved`);
  assert.deepEqual([...new Set(moved)], ["d"]);
});

Deno.test("preferred() moves only the sessions of one that is not usable, and spreads them over the others", () => {
  const [before, after] = [placesIn(FOUR), placesIn(FOUR, ({ id }) => id !== "b")];
  const movedFrom = before.filter((place, n) => place !== after[n]);
  assert.deepEqual([...new Set(movedFrom)], ["b"]);
  const inherited = after.filter((_, n) => before[n] === "b");
  for (const id of ["a", "c", "d"]) assert.ok(shareOf(inherited, id) > 0.25, `${id} inherits ${shareOf(inherited, id)}`);
});

Deno.test("preferred() gives shares as the weights are, and a change of one weight moves only its own", () => {
  const weighed = [{ id: "a", weight: 1 }, { id: "b", weight: 3 }];
  const before = placesIn(weighed);
  assert.ok(Math.abs(shareOf(before, "b") - 0.75) < 0.03, `b has ${shareOf(before, "b")}`);
  const after = placesIn([{ id: "a", weight: 1 }, { id: "b", weight: 1 }]);
  const moved = after.filter((place, n) => place !== before[n]);
  assert.deepEqual([...new Set(moved)], ["a"]);
});

Deno.test("preferred() depends on the order of nothing, and is null if none is usable", () => {
  assert.deepEqual(placesIn([...FOUR].reverse()), placesIn(FOUR));
  assert.equal(preferred(FOUR, "x", () => false), null);
});
