import assert from "node:assert/strict";
import { FairQueue } from "./fair_queue.ts";

function drained(queue: FairQueue<string>): readonly string[] {
  const taken: string[] = [];
  for (let item = queue.take(); item !== undefined; item = queue.take()) taken.push(item);
  return taken;
}

Deno.test("take() lets holders take turns, so that one with many delays no other", () => {
  const queue = new FairQueue<string>();
  for (const n of [1, 2, 3, 4]) queue.add(`greedy ${n}`, { rank: 0, holder: "greedy" });
  for (const holder of ["a", "b"]) queue.add(holder, { rank: 0, holder });
  assert.deepEqual(drained(queue), ["greedy 1", "a", "b", "greedy 2", "greedy 3", "greedy 4"]);
  assert.equal(queue.size, 0);
});

Deno.test("take() returns lower ranks first, whenever they came", () => {
  const queue = new FairQueue<string>();
  queue.add("auxiliary", { rank: 1, holder: "a" });
  queue.add("main", { rank: 0, holder: "a" });
  queue.add("other main", { rank: 0, holder: "b" });
  assert.deepEqual(drained(queue), ["main", "other main", "auxiliary"]);
});

Deno.test("take() keeps the round while holders come, go and return", () => {
  const queue = new FairQueue<string>();
  queue.add("a1", { rank: 0, holder: "a" });
  queue.add("b1", { rank: 0, holder: "b" });
  assert.equal(queue.take(), "a1");
  queue.add("a2", { rank: 0, holder: "a" });
  queue.add("b2", { rank: 0, holder: "b" });
  assert.deepEqual(drained(queue), ["b1", "a2", "b2"]);
});

Deno.test("delete() removes a thing of any place, once", () => {
  const queue = new FairQueue<string>();
  for (const item of ["a1", "a2"]) queue.add(item, { rank: 0, holder: "a" });
  queue.add("b1", { rank: 1, holder: "b" });
  queue.delete("a1");
  queue.delete("a1");
  queue.delete("b1");
  assert.deepEqual([queue.size, drained(queue)], [1, ["a2"]]);
});

Deno.test("take() serves five that wait behind 200 of one holder after at most one turn of that", () => {
  const queue = new FairQueue<string>();
  for (let n = 0; n < 200; n++) queue.add(`greedy-${n}`, { rank: 0, holder: "greedy" });
  for (let n = 0; n < 5; n++) queue.add(`modest-${n}`, { rank: 0, holder: `modest-${n}` });
  assert.deepEqual(drained(queue).slice(0, 7), [
    "greedy-0",
    "modest-0",
    "modest-1",
    "modest-2",
    "modest-3",
    "modest-4",
    "greedy-1",
  ]);
});

Deno.test("heads() are the next of each holder, delete() keeps a holder's turn, and hadTurn() ends it", () => {
  const queue = new FairQueue<string>();
  queue.add("late", { rank: 1, holder: "a" });
  for (const item of ["a1", "a2", "b1"]) queue.add(item, { rank: 0, holder: item[0]! });
  assert.deepEqual(queue.heads(), ["a1", "b1", "late"]);
  queue.delete("a1");
  queue.hadTurn("a1");
  assert.deepEqual([queue.size, queue.countOf("a"), queue.countOf("b"), queue.countOf("z")], [3, 2, 1, 0]);
  assert.deepEqual([queue.heads(), queue.items()], [["a2", "b1", "late"], ["late", "a2", "b1"]]);
  queue.hadTurn("a2");
  queue.add("a3", { rank: 0, holder: "a" });
  assert.deepEqual(queue.heads(), ["b1", "a3", "late"]);
});
