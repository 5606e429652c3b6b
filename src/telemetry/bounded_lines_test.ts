import assert from "node:assert/strict";
import { BoundedLines, MAX_LINES, WINDOW_MS } from "./bounded_lines.ts";

Deno.test("BoundedLines.admit() lets so many lines of a kind through in a window, and of another kind as many", () => {
  const { lines } = watched();
  assert.equal(admitted(lines, "a", 100), MAX_LINES);
  assert.equal(admitted(lines, "b", 100), MAX_LINES);
});

Deno.test("BoundedLines tells once how many lines were left out, when the window is over", () => {
  const { lines, told, clock } = watched();
  admitted(lines, "a", MAX_LINES + 7);
  admitted(lines, "b", MAX_LINES);
  lines.settle();
  assert.deepEqual(told, []);
  clock.at += WINDOW_MS;
  assert.ok(lines.admit("b"));
  assert.deepEqual(told, [["a", 7]]);
  clock.at += WINDOW_MS;
  lines.settle();
  assert.equal(admitted(lines, "a", 100), MAX_LINES);
  assert.deepEqual(told, [["a", 7]]);
});

Deno.test("BoundedLines never admits more than its bound in any window, and never loses count", () => {
  const { lines, told, clock } = watched();
  let seed = 7;
  let asked = 0;
  let through = 0;
  for (let round = 0; round < 2_000; round++) {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    clock.at += seed % 90;
    asked++;
    if (lines.admit("a")) through++;
  }
  clock.at += WINDOW_MS;
  lines.settle();
  assert.equal(through + told.reduce((sum, [, count]) => sum + count, 0), asked);
  assert.ok(through <= Math.ceil(clock.at / WINDOW_MS) * MAX_LINES);
});

function watched() {
  const clock = { at: 0 };
  const told: [string, number][] = [];
  const lines = new BoundedLines(() => clock.at, (kind, count) => told.push([kind, count]));
  return { lines, told, clock };
}

function admitted(lines: BoundedLines, kind: string, asked: number): number {
  let through = 0;
  for (let each = 0; each < asked; each++) if (lines.admit(kind)) through++;
  return through;
}
