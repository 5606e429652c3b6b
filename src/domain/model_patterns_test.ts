import assert from "node:assert/strict";
import { namesModel } from "./model_patterns.ts";

const PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc";

for (
  const [pattern, fitting, others] of [
    ["*", ["gpt-6-sol", "", "a*b"], [PROFILE]],
    ["gpt-6-sol", ["gpt-6-sol"], ["gpt-6-sol-2", "xgpt-6-sol", ""]],
    ["gpt-6*", ["gpt-6", "gpt-6.2-sol"], ["gpt-5", "xgpt-6"]],
    ["*.anthropic.*", ["us.anthropic.claude", ".anthropic."], ["anthropic.claude", "us.anthropic"]],
    ["*-lite", ["gemini-3.5-flash-lite", "-lite"], ["-lite-2", "lite"]],
    ["a*a", ["aa", "aba"], ["a"]],
    ["a*b*c", ["abc", "axbxc", "abbc"], ["acb", "ac"]],
    ["a*b*b", ["abb", "abxb"], ["ab"]],
    ["a.c", ["a.c"], ["abc"]],
    ["arn:aws:bedrock:*:123456789012:*", [PROFILE], ["arn:aws:bedrock:us-east-1:999999999999:x/abc"]],
  ] as const
) {
  Deno.test(`namesModel() by the pattern ${pattern}`, () => {
    for (const model of fitting) assert.ok(namesModel(["none", pattern], model), model);
    for (const model of others) assert.ok(!namesModel(["none", pattern], model), model);
  });
}

Deno.test("namesModel() takes time in proportion to a model that was made to delay it", () => {
  assert.ok(!namesModel([`${"*a".repeat(100)}*b`], "a".repeat(100_000)));
});
