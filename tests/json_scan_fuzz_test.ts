import assert from "node:assert/strict";
import { jsonDocuments, seeded } from "./json_documents.ts";
import { agree } from "./json_oracle.ts";

Deno.test("scanTopLevel() agrees with JSON.parse on 200,000 seeded inputs, whole and in random pieces", () => {
  const random = seeded(20261124);
  const below = (n: number) => Math.floor(random() * n);
  const make = jsonDocuments(below);
  let valid = 0;
  const total = 200_000;
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  for (let i = 0; i < total; i++) {
    const longest = [1, 3, 20, 200][below(4)]!;
    const options = { sizes: () => 1 + below(longest), maxValueBytes: [8, 40, 4096][below(3)]! };
    if (agree(make(), options)) valid++;
  }
  Error.stackTraceLimit = stackTraceLimit;
  assert.ok(valid > total / 4 && valid < total * 3 / 4, `${valid} of ${total} are valid: the inputs do not try both sides`);
});
