import { Fault, type FaultCode } from "../../domain/fault.ts";
import type { PassthroughRoute, Place, Placed, Route } from "../../domain/provider.ts";
import { MAX_MESSAGE_BYTES } from "../anthropic/messages.ts";
import { targetFault } from "../google_path.ts";
import { rawPredict } from "./messages.ts";

const CLAUDE = "/v1/projects/:project/locations/:location/publishers/anthropic/models";
/** A route without special needs. */
const PLAIN = { maxBodyBytes: MAX_MESSAGE_BYTES, joinsTrace: false, namesOwned: false, answersJson: true } as const;
const COUNT_TOKENS: PassthroughRoute = { ...PLAIN, name: "count_tokens", joinsTrace: true };
const OTHER: PassthroughRoute = { ...PLAIN, name: "other", answersJson: false };

/**
 * Claude alone. Batches, caches, endpoints, tuning and `:predict` spend and name no tokens. What
 * they make belongs to the project. Gemini on Vertex AI has other answers.
 */
export const ROUTES: readonly Route[] = [
  { method: "POST", path: `${CLAUDE}/count-tokens:rawPredict`, kind: "passthrough", passthrough: COUNT_TOKENS },
  { method: "POST", path: `${CLAUDE}/:call{[^/]+:rawPredict}`, kind: "billed", call: rawPredict },
  { method: "POST", path: `${CLAUDE}/:call{[^/]+:streamRawPredict}`, kind: "billed", call: rawPredict },
  { method: "*", path: "/v1/projects/*", kind: "passthrough", passthrough: OTHER, isClosed: true },
];

/**
 * What a client with a wrong base URL asks for, and what to tell its user. Claude Code replaces the
 * text of a 404 by words about the model, so each is a 421.
 */
const SLIPS: readonly (readonly [path: RegExp, code: FaultCode, message: string])[] = [
  [
    /^\/projects\//,
    "path_misdirected",
    "There is nothing at this path: /v1 is missing. Put /v1 at the end of the client's base URL for Vertex AI.",
  ],
  [
    /^\/v1\/v1\/projects\//,
    "path_misdirected",
    "The client's base URL for Vertex AI has one /v1 too many. Take one off its end.",
  ],
  [
    /^\/v1beta1\/(?:projects|publishers)\//,
    "path_misdirected",
    "Gemini on Vertex AI is not open through this proxy. Let the client use the Gemini API.",
  ],
];

export function baseUrlFault(path: string): Fault | null {
  const slip = SLIPS.find(([shape]) => shape.test(path));
  return slip === undefined ? null : new Fault(slip[1], slip[2]);
}

const PLACED = /^\/v1\/projects\/[^/?]+\/locations\/([^/?]+)(?=[/?]|$)/;

/**
 * The project of a path pays, and its location decides the price. So the operator's project takes
 * the place of the client's, and a location has to be one that the operator names.
 */
export function placed(target: string, { project, locations }: Place): Placed | Fault {
  const fault = targetFault(target);
  if (fault !== null) return fault;
  const [named, location] = PLACED.exec(target) ?? [];
  if (named === undefined || location === undefined) return elsewhere(target, locations);
  if (project === null) return new Fault("internal_error", "The proxy's operator has named no project of Vertex AI.");
  if (!locations.includes(location)) {
    return new Fault(
      "path_not_allowed",
      `The location in the URL is not open through the proxy. Let the client use one of these: ${locations.join(", ")}.`,
    );
  }
  return { target: `/v1/projects/${project}/locations/${location}${target.slice(named.length)}`, location };
}

/** A path that names a project and no location would choose who pays. */
function elsewhere(target: string, locations: readonly string[]): Placed | Fault {
  if (!target.startsWith("/v1/projects/")) return { target, location: locations[0] ?? "" };
  return new Fault("path_not_allowed", "This path names a project and no location, so it is not open through the proxy.");
}
