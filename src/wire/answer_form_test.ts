import assert from "node:assert/strict";
import { type AnswerForm, formOf, MAX_HEAD_BYTES } from "./answer_form.ts";

function form(
  text: string,
  { label = null, isStreamAsked = false, isAll = false }: {
    readonly label?: string | null;
    readonly isStreamAsked?: boolean;
    readonly isAll?: boolean;
  } = {},
): AnswerForm | null {
  return formOf(new TextEncoder().encode(text), { label, isStreamAsked, isAll });
}

const LABELS = [
  null,
  "",
  "text/plain",
  "text/html",
  "application/json",
  "application/problem+json; charset=utf-8",
  "TEXT/EVENT-STREAM",
];

Deno.test("formOf() knows JSON and events by their first bytes, against label and request", () => {
  const firsts: readonly (readonly [AnswerForm, readonly string[]])[] = [
    ["json", ["{", '{"type":', "\ufeff{", " \r\n\t{", "\ufeff \n{"]],
    ["events", [
      "event: message_start",
      "event:",
      "data:{",
      "id: 7",
      "retry: 1",
      ": a comment",
      "data\n",
      "\ufeffevent:x",
      "\n\ndata: {",
    ]],
  ];
  for (const [expected, texts] of firsts) {
    for (const text of texts) {
      for (const label of LABELS) {
        for (const isStreamAsked of [false, true]) {
          for (const isAll of [false, true]) {
            assert.equal(
              form(text, { label, isStreamAsked, isAll }),
              expected,
              JSON.stringify({ text, label, isStreamAsked, isAll }),
            );
          }
        }
      }
    }
  }
});

Deno.test("formOf() says the same however few bytes come at a time, and nothing before it can", () => {
  for (
    const [text, decidedAt] of [["\ufeff\r\nevent: x", 11], ["{}", 1], [":", 1], ["data:", 5], ["id:", 3], [
      "retry\n",
      6,
    ]] as const
  ) {
    const bytes = new TextEncoder().encode(text);
    for (let length = 0; length <= bytes.length; length++) {
      const got = formOf(bytes.subarray(0, length), { label: "application/json", isStreamAsked: false, isAll: false });
      assert.equal(got !== null, length >= decidedAt, `${JSON.stringify(text)} at ${length}`);
    }
  }
});

Deno.test("formOf() uses the label if the bytes are of no known form, and knows nothing without a label", () => {
  for (const text of ["<html>", "meta: 1\n", "1]", "eventually", "No answer"]) {
    assert.equal(form(text, { label: "text/event-stream" }), "events");
    assert.equal(form(text, { label: "application/json" }), "json");
    for (const label of [null, "text/html", "text/plain"]) {
      for (const isStreamAsked of [false, true]) assert.equal(form(text, { label, isStreamAsked }), "other");
    }
  }
});

Deno.test("formOf() goes by the label, then by what was asked for, if nothing but white space came", () => {
  for (const text of ["", " \n", "\ufeff", "even"]) {
    assert.equal(form(text), null);
    for (const isStreamAsked of [false, true]) {
      const asked = isStreamAsked ? "events" : "json";
      for (const label of [null, "text/plain", "application/octet-stream"]) {
        assert.equal(form(text, { label, isStreamAsked, isAll: true }), asked);
      }
      assert.equal(form(text, { label: "text/event-stream", isStreamAsked, isAll: true }), "events");
      assert.equal(form(text, { label: "application/json", isStreamAsked, isAll: true }), "json");
      assert.equal(form(text, { label: "text/html", isStreamAsked, isAll: true }), "other");
    }
  }
});

Deno.test("formOf() looks at no more than MAX_HEAD_BYTES: then the label decides", () => {
  const spaces = " ".repeat(MAX_HEAD_BYTES);
  assert.equal(form(spaces.slice(1)), null);
  assert.equal(form(spaces, { label: "text/event-stream" }), "events");
  assert.equal(form(`${spaces}{`, { label: "application/json" }), "json");
  assert.equal(form(spaces, { isStreamAsked: true }), "events");
});
