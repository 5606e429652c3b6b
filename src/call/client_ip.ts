import { clientIpIn } from "../wire/client_ip.ts";
import type { World } from "./world.ts";

/**
 * The client's address for log lines, if the operator has named the header of a server in front;
 * null otherwise.
 */
export function clientIpOf(request: Request, { clientIpHeader }: Pick<World, "clientIpHeader">): string | null {
  return clientIpHeader === null ? null : clientIpIn(request.headers.get(clientIpHeader));
}
