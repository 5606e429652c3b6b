import { Fault } from "../../domain/fault.ts";
import type { PassthroughRoute, Route } from "../../domain/provider.ts";
import { invoke, MAX_BODY_BYTES } from "./invoke.ts";

const PLAIN: PassthroughRoute = {
  name: "models",
  maxBodyBytes: MAX_BODY_BYTES,
  joinsTrace: false,
  namesOwned: false,
  answersJson: true,
};

/**
 * Of the runtime, and what clients ask of the control plane:
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html
 */
export const ROUTES: readonly Route[] = [
  { method: "POST", path: "/model/:id/invoke", kind: "billed", call: invoke, hasEncodedSlashes: true },
  { method: "POST", path: "/model/:id/invoke-with-response-stream", kind: "billed", call: invoke, hasEncodedSlashes: true },
  {
    method: "POST",
    path: "/model/:id/count-tokens",
    kind: "passthrough",
    passthrough: { ...PLAIN, name: "count_tokens", joinsTrace: true },
  },
  // Claude Code asks for them without a credential and goes on without an answer.
  { method: "GET", path: "/inference-profiles", kind: "passthrough", passthrough: PLAIN },
  { method: "GET", path: "/inference-profiles/:id", kind: "passthrough", passthrough: PLAIN, hasEncodedSlashes: true },
  // Converse too: its answers are of another shape.
  {
    method: "*",
    path: "/model/*",
    kind: "passthrough",
    passthrough: { ...PLAIN, name: "other", answersJson: false },
    isClosed: true,
  },
];

const SLIPS: readonly (readonly [path: RegExp, message: string])[] = [
  [
    /^\/model\/model\//,
    "The client's base URL ends in /model, which the client adds itself. Take that off its end.",
  ],
  [
    /^\/(?!model\/).+\/model\/[^/]+\/(?:invoke|converse|count-tokens)/,
    "The client's base URL has a path that this proxy does not have. Take off what stands between /bedrock and /model.",
  ],
];

export function baseUrlFault(path: string): Fault | null {
  const slip = SLIPS.find(([shape]) => shape.test(path));
  return slip === undefined ? null : new Fault("path_misdirected", slip[1]);
}
