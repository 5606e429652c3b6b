import { holdsSecret } from "../wire/secrets.ts";
import { tokenOf } from "./authenticate.ts";

/** The text, or null where it holds the call's proxy token, which is kept in no row and no log line: as if it were not said. */
export function unlessToken(text: string | null, token: string): string | null {
  return text === null || holdsSecret(text, token) ? null : text;
}

/** The request's headers as far as they may be kept. */
export function headersToKeep(headers: Headers): Pick<Headers, "get"> {
  const token = tokenOf(headers);
  return { get: (name) => unlessToken(headers.get(name), token) };
}
