import assert from "node:assert/strict";
import { geoOf, invocationOf, mayBeAnthropics } from "./model_ids.ts";

Deno.test("invocationOf() takes model and stream from the path, as each client spells a name with slashes and colons", () => {
  const arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123";
  const rows: [target: string, model: string, isStreamed: boolean][] = [
    ["/model/us.anthropic.claude-opus-5-5/invoke", "us.anthropic.claude-opus-5-5", false],
    [
      "/model/anthropic.claude-haiku-4-5-20251001-v1:0/invoke-with-response-stream",
      "anthropic.claude-haiku-4-5-20251001-v1:0",
      true,
    ],
    // Claude Code encodes the slash alone; AWS's SDKs encode the colons too.
    ["/model/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile%2Fabc123/invoke", arn, false],
    [
      "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc123/invoke-with-response-stream",
      arn,
      true,
    ],
    ["/model/invoke/invoke?x=/model/y/invoke", "invoke", false],
    ["/model/%FF/invoke", "%FF", false],
    ["/model/a/invoke-with-response-stream?trace=1", "a", true],
    ["/model/a/invoked", "", false],
    ["/model//invoke", "", false],
    ["/v1/messages", "", false],
  ];
  for (const [target, model, isStreamed] of rows) assert.deepEqual(invocationOf(target), { model, isStreamed }, target);
});

Deno.test("geoOf() tells the place by the name of the profile, and nothing where the name does not tell (trap 36)", () => {
  const arn = (rest: string) => `arn:aws:bedrock:us-east-1:123456789012:${rest}`;
  const rows: [model: string, geo: string | null][] = [
    ...["us", "eu", "jp", "au", "apac", "global", "us-gov"].map((
      geo,
    ): [string, string] => [`${geo}.anthropic.claude-opus-5-5`, geo]),
    ["anthropic.claude-opus-5-5-v1:0", "regional"],
    [arn("inference-profile/us.anthropic.claude-opus-5-5"), "us"],
    [arn("inference-profile/global.anthropic.claude-opus-5-5"), "global"],
    ["arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0", "regional"],
    ["arn:aws-cn:bedrock:cn-north-1:1:inference-profile/apac.anthropic.claude", "apac"],
    [arn("application-inference-profile/abc123"), null],
    [arn("provisioned-model/abc123"), null],
    [arn("application-inference-profile/us"), null],
    ["amazon.nova-pro-v1:0", null],
    ["us.amazon.nova-pro-v1:0", null],
    ["", null],
    ["claude-opus-5-5", null],
  ];
  for (const [model, geo] of rows) assert.equal(geoOf(model), geo, model);
});

Deno.test("mayBeAnthropics() is false only for names that say another maker, or that name no model of Bedrock", () => {
  const arn = (rest: string) => `arn:aws:bedrock:us-east-1:123456789012:${rest}`;
  const may = [
    "anthropic.claude-opus-5-5-v1:0",
    "us.anthropic.claude-opus-5-5",
    "us-gov.anthropic.claude-opus-5-5",
    arn("inference-profile/global.anthropic.claude-opus-5-5"),
    "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0",
    arn("application-inference-profile/abc123"),
    arn("provisioned-model/abc123"),
    arn("default-prompt-router/anthropic.claude:1"),
  ];
  const not = [
    "amazon.nova-pro-v1:0",
    "us.meta.llama3-3-70b-instruct-v1:0",
    "amazon.anthropic-like",
    "x.y.anthropic.claude",
    arn("inference-profile/us.amazon.nova-pro-v1:0"),
    "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
    "arn:aws:sagemaker:us-east-1:123456789012:endpoint/anthropic.x",
    "claude-opus-5-5",
    "",
  ];
  for (const model of may) assert.equal(mayBeAnthropics(model), true, model);
  for (const model of not) assert.equal(mayBeAnthropics(model), false, model);
});
