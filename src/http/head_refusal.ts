import { STATUS_CODES } from "node:http";

/** Why what came at a listener is no request. */
export type HeadFault = "head_malformed" | "head_too_large" | "head_timeout" | "path_unknown";

/** For the client, by fault. */
export const HEAD_MESSAGES: Readonly<Record<HeadFault, string>> = {
  head_malformed: "Cannot read the request: its head is not HTTP/1.1.",
  head_too_large: "The request's headers are larger than this proxy takes.",
  head_timeout: "The request's headers did not arrive in time.",
  path_unknown: "There is nothing at this path. Check the base URL of the client.",
};

/** An answer as it goes into a socket of which no request came; the connection ends after it. */
export function rawAnswer(status: number, headers: Readonly<Record<string, string>>, body: string): string {
  const all = { ...headers, "content-length": String(new TextEncoder().encode(body).length), connection: "close" };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n${body}`;
}
