import { Fault, type FaultCode } from "../../domain/fault.ts";
import type { PassthroughRoute, Route } from "../../domain/provider.ts";
import { MAX_MESSAGE_BYTES, messages } from "./messages.ts";

const MB = 1024 * 1024;

/** A route without special needs. */
const PLAIN = { maxBodyBytes: MAX_MESSAGE_BYTES, joinsTrace: false, namesOwned: false, answersJson: true } as const;
const MODELS: PassthroughRoute = { ...PLAIN, name: "models" };

/** With the API's size limits (https://docs.anthropic.com/en/api/errors, "Request size limits"). */
export const ROUTES: readonly Route[] = [
  { method: "POST", path: "/v1/messages", kind: "billed", call: messages },
  {
    method: "POST",
    path: "/v1/messages/count_tokens",
    kind: "passthrough",
    passthrough: { ...PLAIN, name: "count_tokens", joinsTrace: true, namesOwned: true },
  },
  { method: "GET", path: "/v1/models", kind: "passthrough", passthrough: MODELS },
  { method: "GET", path: "/v1/models/:id", kind: "passthrough", passthrough: MODELS },
  {
    method: "POST",
    path: "/v1/messages/batches",
    kind: "owning",
    owns: "batch",
    passthrough: { ...PLAIN, name: "batches", maxBodyBytes: 256 * MB, namesOwned: true },
    // One JSON document for each line.
    notJson: "/results",
  },
  {
    method: "POST",
    path: "/v1/files",
    kind: "owning",
    owns: "file",
    passthrough: { ...PLAIN, name: "files", maxBodyBytes: 500 * MB },
    notJson: "/content",
  },
  {
    method: "*",
    path: "/v1/*",
    kind: "passthrough",
    passthrough: { ...PLAIN, name: "other", namesOwned: true, answersJson: false },
    isClosed: true,
  },
];

/**
 * What a client with a wrong base URL asks for, and what to tell its user.
 *
 * All but the last are 421. Claude Code (2.1.332) replaces the text of a 404 by words about the
 * model and that of a 403 by words about the login, and it sends a 400 six times. Clients that
 * leave out `/v1` show the text of a 404.
 */
const SLIPS: readonly (readonly [path: RegExp, code: FaultCode, message: string])[] = [
  [
    /^\/v1\/v1(?:\/|$)/,
    "path_misdirected",
    "The client's base URL has one /v1 too many: the client adds its own. Take /v1 off the end of the base URL.",
  ],
  [
    /^\/v1\/messages\/v1(?:\/|$)/,
    "path_misdirected",
    "The client's base URL ends in /v1/messages, which the client adds itself. Take that off its end.",
  ],
  [
    /^\/v1\/messages\/messages(?:\/|$)/,
    "path_misdirected",
    "The client's base URL ends in /messages, which the client adds itself. Take that off its end.",
  ],
  [
    /^\/(?!v1\/).+\/v1\/(?:messages|models|files)(?:\/|$)/,
    "path_misdirected",
    "The client's base URL has a path that this proxy does not have. Take off what stands between the proxy's address and /v1.",
  ],
  [
    /^\/(?:messages|models|files)(?:\/|$)/,
    "path_unknown",
    "There is nothing at this path: /v1 is missing. Check the base URL of the client: put /v1 at its end.",
  ],
];

export function baseUrlFault(path: string): Fault | null {
  const slip = SLIPS.find(([shape]) => shape.test(path));
  return slip === undefined ? null : new Fault(slip[1], slip[2]);
}
