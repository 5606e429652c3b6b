import assert from "node:assert/strict";
import type { FaultCode } from "../../domain/fault.ts";
import { baseUrlFault } from "./routes.ts";

const SAID: readonly (readonly [path: string, code: FaultCode, says: RegExp])[] = [
  ["/v1/v1/messages", "path_misdirected", /one \/v1 too many/],
  ["/v1/v1", "path_misdirected", /one \/v1 too many/],
  ["/v1/v1/models", "path_misdirected", /one \/v1 too many/],
  ["/v1/v1/v1/messages/count_tokens", "path_misdirected", /one \/v1 too many/],
  ["/v1/v1/whatever/comes", "path_misdirected", /one \/v1 too many/],
  ["/v1/messages/v1/messages", "path_misdirected", /ends in \/v1\/messages/],
  ["/v1/messages/messages", "path_misdirected", /ends in \/messages/],
  ["/anthropic/v1/messages", "path_misdirected", /has a path/],
  ["/api/v1/messages/count_tokens", "path_misdirected", /has a path/],
  ["/messages", "path_unknown", /\/v1 is missing/],
  ["/messages/count_tokens", "path_unknown", /\/v1 is missing/],
  ["/models", "path_unknown", /\/v1 is missing/],
];

Deno.test("baseUrlFault() says what is wrong with the base URL, and names no setting of the operator's", () => {
  for (const [path, code, says] of SAID) {
    const fault = baseUrlFault(path);
    assert.equal(fault?.code, code, path);
    assert.match(fault.message, says, path);
    assert.doesNotMatch(fault.message, /LLMPROXY/);
  }
});

Deno.test("baseUrlFault() has nothing to say of the API's own paths and of others", () => {
  const others = [
    "/",
    "/v1",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/messages/batches/msgbatch_1/results",
    "/v1/models/v1",
    "/v1/files/v1",
    "/v1/v10/x",
    "/v1/organizations/v1",
    "/v10/v1x",
    "/favicon.ico",
    "/messagesx",
    "/internal/usage",
  ];
  for (const path of others) assert.equal(baseUrlFault(path), null, path);
});
