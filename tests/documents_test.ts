import assert from "node:assert/strict";
import { anchorsOf, blocksOf, commandsOf, differenceOf, linksOf, tableOf } from "./documents.ts";

Deno.test("commandsOf() joins lines that go on, leaves comments out and reads a shown answer over several lines", () => {
  const [block] = blocksOf(
    '```sh\n# A question\ncurl \\\n  url\n# {"a":1,\n#  "b":2}\ntest -s x &&\n  echo y # why\n\nlast\n```\n',
  );
  assert.deepEqual(commandsOf(block!), [
    { line: "curl \\\n  url", answer: { a: 1, b: 2 } },
    { line: "test -s x &&\n  echo y # why", answer: null },
    { line: "last", answer: null },
  ]);
});

Deno.test("commandsOf() throws for a block that ends in the middle of a command or an answer", () => {
  assert.throws(() => commandsOf({ language: "sh", text: "curl \\\n" }), /in the middle/);
  assert.throws(() => commandsOf({ language: "sh", text: 'curl\n# {"a":1,\n' }), /in the middle/);
});

Deno.test("differenceOf() compares keys and types, and the values that are always the same", () => {
  const real = { id: "x", count: 3, outcome: "completed", list: [{ a: 1 }, { b: 2 }] };
  assert.equal(differenceOf({ id: "y", count: 4, outcome: "completed", list: [{ b: 7 }] }, real), null);
  assert.equal(differenceOf({ count: 4, "…": "…" }, real), null);
  assert.equal(differenceOf({ count: 4 }, real), "answer also has id,outcome,list");
  assert.equal(differenceOf({ cost: 4, "…": "…" }, real), "answer has no cost");
  assert.equal(differenceOf({ count: "4", "…": "…" }, real), "answer.count is 3");
  assert.equal(differenceOf({ outcome: "client_left", "…": "…" }, real), 'answer.outcome is "completed"');
  assert.equal(differenceOf({ list: [{ c: 1 }], "…": "…" }, real), "answer.list[] also has a");
  assert.equal(differenceOf([{ a: 1 }], []), "answer is empty");
});

Deno.test("anchorsOf(), linksOf() and tableOf() read a page as GitHub shows it", () => {
  const page =
    "# A `b`: c\n\n[x](../y.md#z) [w](https://example.com)\n\n| h | i |\n| - | - |\n| 1 | `2` |\n\n```sh\n# no heading\n```\n";
  assert.deepEqual(anchorsOf(page), ["a-b-c"]);
  assert.deepEqual(linksOf("docs/page.md", page), [{ path: "y.md", anchor: "z" }]);
  assert.deepEqual(tableOf(page, "h"), [["1", "`2`"]]);
});
