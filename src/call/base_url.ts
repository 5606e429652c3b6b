import { Fault, type FaultCode } from "../domain/fault.ts";

/**
 * What comes of a client's wrong base URL, by the path that it then asks for, and what to tell its user.
 *
 * All but the last are 421: Claude Code (2.1.332) replaces the text of a 404 by words about the model, that of a 403 by words
 * about the login, and asks a 400 six times. The clients that leave out `/v1` show the text of a 404.
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

/** The refusal that names what is wrong with the client's base URL; null if nothing in the path tells. */
export function baseUrlFault(path: string): Fault | null {
  const slip = SLIPS.find(([shape]) => shape.test(path));
  return slip === undefined ? null : new Fault(slip[1], slip[2]);
}
