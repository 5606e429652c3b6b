import assert from "node:assert/strict";
import { mayAskFor } from "./models.ts";

Deno.test("mayAskFor() takes patterns with *, no name by a pattern for all, and an ARN only by a pattern that begins as one", () => {
  const ask = (models: readonly string[], model: string | null) =>
    mayAskFor({ workspaceId: "w", model }, { models, workspaces: null });
  assert.deepEqual(["gpt-6-sol", "gpt-6", "gpt-60"].map((model) => ask(["gpt-6", "gpt-6-*"], model)), [true, true, false]);
  assert.deepEqual([ask(["gpt-6*"], ""), ask(["*"], ""), ask(["gpt-6*"], null)], [false, true, true]);
  assert.deepEqual(["us.a.b-v1:0", "us.b-v1:0", "us.v1:0", "eu.a"].map((model) => ask(["us.*b*v1:0"], model)), [
    true,
    true,
    false,
    false,
  ]);
  assert.equal(ask(["a*ba"], "aba"), true);
  assert.equal(ask(["ab*ba"], "aba"), false);
  assert.equal(ask([], "m"), false);
  const arn = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc";
  assert.equal(ask(["*"], arn), false);
  assert.equal(ask(["arn:aws:bedrock:*:111122223333:*"], arn), true);
});

Deno.test("mayAskFor() lets only the named workspaces ask", () => {
  const ask = (workspaceId: string) => mayAskFor({ workspaceId, model: "m" }, { models: ["*"], workspaces: ["w-1"] });
  assert.deepEqual([ask("w-1"), ask("w-2")], [true, false]);
});
