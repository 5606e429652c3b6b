import { admit } from "./admit.ts";
import { authenticate } from "./authenticate.ts";
import { forward } from "./forward.ts";
import { read } from "./read.ts";
import { relay } from "./relay.ts";
import { belongingOf } from "./trace.ts";
import type { Deps, IncomingCall } from "./deps.ts";

/**
 * One billed call. Resolves to the upstream's answer on its way to the client. From `admit` on,
 * `call.end` is the only way out: it records the call, once, before the last bytes leave.
 * Rejects with a `Fault` if the proxy itself refuses the call.
 */
export async function journey(incoming: IncomingCall, deps: Deps): Promise<Response> {
  const caller = await authenticate(incoming, deps);
  const facts = await read(incoming, caller, deps);
  const trace = belongingOf({ headers: incoming.request.headers, asked: facts, caller }, deps);
  const call = await admit({ incoming, caller, facts, trace }, deps);
  const answer = await forward(call, facts.body);
  return await relay(answer, call);
}
