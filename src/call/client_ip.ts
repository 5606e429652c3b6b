import { clientIpIn } from "../wire/client_ip.ts";
import type { Deps } from "./deps.ts";

/**
 * The client's address for log lines, if the operator has named the header of a server in front;
 * null otherwise.
 */
export function clientIpOf(request: Request, { clientIpHeader }: Pick<Deps, "clientIpHeader">): string | null {
  return clientIpHeader === null ? null : clientIpIn(request.headers.get(clientIpHeader));
}
