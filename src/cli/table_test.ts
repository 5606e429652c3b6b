import assert from "node:assert/strict";
import { fitted, type Screen, tableOf, visible } from "./table.ts";

const SCREEN: Screen = { width: 12, height: 24, hasColors: true };

Deno.test("tableOf() makes each column as wide as its widest cell, numbers flush right, without blanks at the end", () => {
  const rows = [["NAME", "CALLS", "NOTE"], ["a", "1,234", ""], ["bcdef", "7", "x"]];
  assert.equal(tableOf(rows, { numbers: ["CALLS"] }), "NAME   CALLS  NOTE\na      1,234\nbcdef      7  x\n");
  assert.equal(tableOf([["NAME", "NOTE"]]), "NAME  NOTE\n");
});

Deno.test("tableOf() counts cells as a terminal does: CJK and emoji take two, combining characters none", () => {
  const lines = tableOf([["NAME", "N"], ["東京", "1"], ["e\u0301e\u0301", "2"], ["👍", "3"]]).split("\n");
  assert.deepEqual(lines, ["NAME  N", "東京  1", "e\u0301e\u0301    2", "👍    3", ""]);
});

Deno.test("tableOf() lets no cell steer the terminal, and breaks no line", () => {
  const hostile = "\x1b[2J\x9b31m\x07\r\n\t\u202e\u2028\ud800\x7f";
  const text = tableOf([["NAME"], [hostile]]);
  assert.equal(text, "NAME\n\\u{1b}[2J\\u{9b}31m\\u{7}\\u{d}\\u{a}\\u{9}\\u{202e}\\u{2028}\\u{d800}\\u{7f}\n");
  assert.equal(visible("plain ünïcödé 東京 👍"), "plain ünïcödé 東京 👍");
});

Deno.test("tableOf() styles only the headings, and only on a terminal with colours", () => {
  assert.equal(tableOf([["A"], ["b"]], { screen: SCREEN }), "\x1b[1mA\x1b[0m\nb\n");
  assert.equal(tableOf([["A"], ["b"]], { screen: { ...SCREEN, hasColors: false } }), "A\nb\n");
});

Deno.test("tableOf() with `fits` keeps each line on the screen", () => {
  const rows = [["A", "B"], ["0123456789", "x"], ["東京東京東京", "x"]];
  const lines = tableOf(rows, { screen: { ...SCREEN, hasColors: false }, fits: true }).split("\n");
  assert.deepEqual(lines, ["A          …", "0123456789 …", "東京東京東…", ""]);
  assert.equal(tableOf(rows, { screen: null, fits: true }).split("\n")[1], "0123456789    x");
});

Deno.test("fitted() cuts between what a reader sees as characters, never inside one", () => {
  assert.equal(fitted("abc", 3), "abc");
  assert.equal(fitted("abcd", 3), "ab…");
  assert.equal(fitted("東京都", 4), "東…");
  assert.equal(fitted("ae\u0301ioux", 4), "ae\u0301i…");
});
