import assert from "node:assert/strict";
import { baseUrlFor } from "./hosts.ts";

const HOSTS: readonly (readonly [runtime: string, controlPlane: string])[] = [
  ["https://bedrock-runtime.us-east-1.amazonaws.com", "https://bedrock.us-east-1.amazonaws.com"],
  ["https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "https://bedrock.us-gov-west-1.amazonaws.com"],
  ["https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "https://bedrock.cn-north-1.amazonaws.com.cn"],
  // Gateways and private endpoints serve all paths, or none of these.
  ["http://127.0.0.1:8080/bedrock", "http://127.0.0.1:8080/bedrock"],
  ["https://bedrock-runtime.us-east-1.amazonaws.com.example", "https://bedrock-runtime.us-east-1.amazonaws.com.example"],
  ["https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com", "https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com"],
];

Deno.test("baseUrlFor() asks AWS's control plane for inference profiles, and the host of the settings for all else", () => {
  for (const [runtime, controlPlane] of HOSTS) {
    for (const target of ["/inference-profiles?maxResults=1", "/inference-profiles/us.anthropic.claude-opus-5-5"]) {
      assert.equal(baseUrlFor(runtime, target), controlPlane, `${runtime}${target}`);
    }
    for (const target of ["/model/x/invoke", "/model/inference-profiles/invoke", "/"]) {
      assert.equal(baseUrlFor(runtime, target), runtime, `${runtime}${target}`);
    }
  }
});
