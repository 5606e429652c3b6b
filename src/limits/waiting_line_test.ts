import assert from "node:assert/strict";
import { WaitingLine } from "./waiting_line.ts";

Deno.test("WaitingLine lets holders take turns, and of one holder the oldest is next", () => {
  const line = new WaitingLine<string>();
  for (const item of ["a1", "a2", "a3", "b1", "c1", "b2"]) line.join(item[0]!, item);
  assert.deepEqual(served(line), ["a1", "b1", "c1", "a2", "b2", "a3"]);
  assert.equal(line.size, 0);
});

Deno.test("WaitingLine serves five that wait behind 200 of one holder after at most one turn of that", () => {
  const line = new WaitingLine<string>();
  for (let n = 0; n < 200; n++) line.join("greedy", `greedy-${n}`);
  for (let n = 0; n < 5; n++) line.join(`modest-${n}`, `modest-${n}`);
  assert.deepEqual(served(line).slice(0, 7), [
    "greedy-0",
    "modest-0",
    "modest-1",
    "modest-2",
    "modest-3",
    "modest-4",
    "greedy-1",
  ]);
});

Deno.test("WaitingLine keeps the turn of a holder whose first leaves, and counts what waits", () => {
  const line = new WaitingLine<string>();
  for (const item of ["a1", "a2", "b1"]) line.join(item[0]!, item);
  line.leave("a", "a1");
  line.leave("a", "a1");
  line.leave("z", "a2");
  assert.deepEqual([line.size, line.waitingOf("a"), line.waitingOf("z")], [2, 1, 0]);
  assert.deepEqual(line.heads(), ["a2", "b1"]);
  assert.deepEqual(line.all(), ["a2", "b1"]);
  line.leave("a", "a2", { hadTurn: true });
  line.join("a", "a3");
  assert.deepEqual(line.heads(), ["b1", "a3"]);
});

function served(line: WaitingLine<string>): readonly string[] {
  const order: string[] = [];
  for (let [next] = line.heads(); next !== undefined; [next] = line.heads()) {
    order.push(next);
    line.leave(next.startsWith("greedy") ? "greedy" : next.startsWith("modest") ? next : next[0]!, next, { hadTurn: true });
  }
  return order;
}
