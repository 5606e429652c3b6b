import { Fault, type FaultCode } from "../../domain/fault.ts";
import type { PassthroughRoute, Route } from "../../domain/provider.ts";
import { chatCompletions } from "./chat.ts";
import { MAX_BODY_BYTES } from "./request.ts";
import { compactions, responses } from "./responses.ts";

const MB = 1024 * 1024;

/** A route without special needs. */
const PLAIN = { maxBodyBytes: MAX_BODY_BYTES, joinsTrace: false, namesOwned: false, answersJson: true } as const;
const MODELS: PassthroughRoute = { ...PLAIN, name: "models" };

/** No path of an owned thing ends so. */
const NOTHING = "/-";

export const ROUTES: readonly Route[] = [
  { method: "POST", path: "/v1/responses", kind: "billed", call: responses },
  { method: "GET", path: "/v1/responses", kind: "refused", fault: withoutUpgrade },
  { method: "POST", path: "/v1/responses/compact", kind: "billed", call: compactions },
  {
    method: "POST",
    path: "/v1/responses/input_tokens",
    kind: "passthrough",
    passthrough: { ...PLAIN, name: "input_tokens", joinsTrace: true, namesOwned: true },
  },
  {
    method: "POST",
    path: "/v1/responses",
    kind: "owning",
    owns: "response",
    madeBy: "billed",
    // With `?stream=true` it answers with events.
    passthrough: { ...PLAIN, name: "responses", answersJson: false },
    notJson: NOTHING,
  },
  { method: "POST", path: "/v1/chat/completions", kind: "billed", call: chatCompletions },
  { method: "GET", path: "/v1/models", kind: "passthrough", passthrough: MODELS },
  { method: "GET", path: "/v1/models/:id", kind: "passthrough", passthrough: MODELS },
  {
    method: "POST",
    path: "/v1/files",
    kind: "owning",
    owns: "file",
    // https://platform.openai.com/docs/api-reference/files/create
    passthrough: { ...PLAIN, name: "files", maxBodyBytes: 512 * MB, namesOwnedIf: { field: "purpose", value: "batch" } },
    notJson: "/content",
  },
  {
    method: "POST",
    path: "/v1/conversations",
    kind: "owning",
    owns: "conversation",
    passthrough: { ...PLAIN, name: "conversations", namesOwned: true },
    notJson: NOTHING,
  },
  // Storage and run time cost money that no answer names.
  {
    method: "POST",
    path: "/v1/vector_stores",
    kind: "owning",
    owns: "vector_store",
    passthrough: { ...PLAIN, name: "vector_stores", namesOwned: true },
    isClosed: true,
    notJson: NOTHING,
  },
  {
    method: "POST",
    path: "/v1/containers",
    kind: "owning",
    owns: "container",
    passthrough: { ...PLAIN, name: "containers", maxBodyBytes: 512 * MB, namesOwned: true },
    isClosed: true,
    notJson: "/content",
  },
  // Nothing counts what their lines used.
  {
    method: "POST",
    path: "/v1/batches",
    kind: "owning",
    owns: "batch",
    passthrough: { ...PLAIN, name: "batches", namesOwned: true },
    yields: { output_file_id: "file", error_file_id: "file" },
    isClosed: true,
    notJson: NOTHING,
  },
  // Stored completions are among them.
  {
    method: "*",
    path: "/v1/*",
    kind: "passthrough",
    passthrough: { ...PLAIN, name: "other", namesOwned: true, answersJson: false },
    isClosed: true,
  },
];

/** Codex (0.171.0) goes on over HTTP at once after a 426, and only then. */
function withoutUpgrade(headers: { readonly get: (name: string) => string | null }): Fault {
  if (/(?:^|,)\s*websocket\s*(?:,|$)/i.test(headers.get("upgrade") ?? "")) {
    return new Fault("upgrade_refused", "This proxy does not speak WebSocket. The same API works over HTTP: send a POST.");
  }
  return new Fault("path_not_allowed", "There is no list of responses: send a POST to make one.");
}

/** What a client with a wrong base URL asks for, and what to tell its user. */
const SLIPS: readonly (readonly [path: RegExp, code: FaultCode, message: string])[] = [
  [
    /^\/v1\/v1(?:\/|$)/,
    "path_misdirected",
    "The client's base URL has one /v1 too many. Take one /v1 off its end.",
  ],
  [
    /^\/v1\/(responses|chat\/completions)\/(?:v1\/)?\1(?:\/|$)/,
    "path_misdirected",
    "The client's base URL ends in the path of an endpoint, which the client adds itself. It should end in /v1.",
  ],
  [
    /^\/(?!v1\/).+\/v1\/(?:responses|chat|models|files|conversations)(?:\/|$)/,
    "path_misdirected",
    "The client's base URL has a path that this proxy does not have. Take off what stands between the proxy's address and /v1.",
  ],
  [
    /^\/(?:responses|chat|models|files|conversations)(?:\/|$)/,
    "path_unknown",
    "There is nothing at this path: /v1 is missing. Check the base URL of the client: put /v1 at its end.",
  ],
];

export function baseUrlFault(path: string): Fault | null {
  const slip = SLIPS.find(([shape]) => shape.test(path));
  return slip === undefined ? null : new Fault(slip[1], slip[2]);
}
