import assert from "node:assert/strict";
import { readPage, tableOf } from "../../tests/documents.ts";
import { EXIT } from "./exit_codes.ts";

Deno.test("docs/cli.md has every exit code", () => {
  const rows = tableOf(readPage("docs/cli.md"), "exit code");
  assert.deepEqual(rows.map(([code]) => Number(code)), Object.values(EXIT));
});
