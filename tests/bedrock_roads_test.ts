import assert from "node:assert/strict";
import { HeaderFields } from "../src/domain/header_fields.ts";
import { Roads } from "../src/http/roads.ts";
import { anthropic } from "../src/providers/anthropic/anthropic.ts";
import { bedrock } from "../src/providers/bedrock/bedrock.ts";

const ARN = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc";

/** What happens at a path of a proxy with both dialects: the kind of its route, or null. */
function kindAt(method: string, url: string): string | null {
  const { provider, route } = new Roads([anthropic, bedrock]).of({ method, url, headers: new HeaderFields([]) }, [
    anthropic,
    bedrock,
  ]);
  if (provider !== bedrock || route === null) return null;
  return route.kind === "passthrough" && route.isClosed ? "closed" : route.kind;
}

Deno.test("bedrock bills both ways to invoke a model, passes what is free, and closes the rest", () => {
  for (const prefix of ["", "/bedrock"]) {
    for (const id of ["us.anthropic.claude-opus-5-5-v1:0", ARN]) {
      assert.equal(kindAt("POST", `${prefix}/model/${id}/invoke`), "billed");
      assert.equal(kindAt("POST", `${prefix}/model/${id}/invoke-with-response-stream`), "billed");
      assert.equal(kindAt("POST", `${prefix}/model/${id}/count-tokens`), "passthrough");
      assert.equal(kindAt("GET", `${prefix}/inference-profiles/${id}`), "passthrough");
      for (const action of ["converse", "converse-stream", "invoke-with-bidirectional-stream", "x/y"]) {
        assert.equal(kindAt("POST", `${prefix}/model/${id}/${action}`), "closed", action);
      }
      assert.equal(kindAt("GET", `${prefix}/model/${id}/invoke`), "closed");
    }
    assert.equal(kindAt("GET", `${prefix}/inference-profiles?type=SYSTEM_DEFINED`), "passthrough");
    for (const path of ["/async-invoke", "/guardrail/x/version/1/apply", "/model-invocation-job", "/anthropic/v1/messages"]) {
      assert.equal(kindAt("POST", `${prefix}${path}`), null, path);
    }
  }
});
