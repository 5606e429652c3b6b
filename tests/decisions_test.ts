import assert from "node:assert/strict";
import { listFiles, read } from "./tree.ts";

const FOLDER = "docs/decisions/";
const IS_TEXT = /\.(ts|tsx|md|sql|sh|yml|yaml|service)$|(^|\/)(Dockerfile|run)$/;
const REFERENCE = /\bdecisions?[ /](\d{4})\b/gi;

const decisions = listFiles(FOLDER).map((path) => path.slice(FOLDER.length)).filter((name) => name !== "README.md").sort();

Deno.test("decisions are numbered from 0001 without a gap", () => {
  assert.notEqual(decisions.length, 0);
  decisions.forEach((name, index) => assert.match(name, new RegExp(`^${numberAt(index)}-[a-z0-9]+(-[a-z0-9]+)*\\.md$`)));
});

Deno.test("each decision begins with its number and title, and the index lists both in order", () => {
  const titles = decisions.map((name) => {
    const [heading] = read(FOLDER + name).split("\n");
    assert.ok(heading!.startsWith(`# ${name.slice(0, 4)}. `), `${name}: ${heading}`);
    return heading!.slice("# 0000. ".length);
  });
  const expected = decisions.map((name, index) => `[${name.slice(0, 4)}](${name})|${titles[index]}`);
  const rows = read(`${FOLDER}README.md`).split("\n").filter((line) => line.startsWith("| ["));
  assert.deepEqual(rows.map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()).join("|")), expected);
});

Deno.test("each decision that the tree cites exists", () => {
  const numbers = new Set(decisions.map((_, index) => numberAt(index)));
  const cited = listFiles("").filter((path) => IS_TEXT.test(path) && !path.startsWith("tests/fixtures/")).flatMap((path) =>
    [...read(path).matchAll(REFERENCE)].map((match) => ({ path, number: match[1]! }))
  );
  assert.notEqual(cited.length, 0);
  assert.deepEqual(cited.filter(({ number }) => !numbers.has(number)), []);
});

function numberAt(index: number): string {
  return String(index + 1).padStart(4, "0");
}
