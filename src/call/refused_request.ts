import type { RefusedRequest } from "../domain/observe.ts";
import { cutClientString } from "../domain/text.ts";
import { clientOf } from "./clients.ts";
import { carriedSecrets, headersWithout, pathToShow } from "./token_filter.ts";
import { rawPath } from "./target.ts";
import type { IncomingCall } from "./deps.ts";

/** What may be told of a refused request, whatever is wrong with its token. */
export function refusedRequest(
  request: Request,
  { sandbox, userId, clientIp }: Pick<IncomingCall, "sandbox" | "userId" | "clientIp">,
): RefusedRequest {
  const secrets = carriedSecrets(request.headers);
  const client = clientOf({ headers: headersWithout(request.headers, secrets), userId });
  const path = pathToShow(rawPath(request), secrets);
  return { sandbox, path, client: client === null ? null : cutClientString(client), clientIp };
}
