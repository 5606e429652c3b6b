import { admit } from "./admit.ts";
import { authenticate } from "./authenticate.ts";
import { forward } from "./forward.ts";
import { read } from "./read.ts";
import { relay } from "./relay.ts";
import { belongingOf } from "./trace.ts";
import type { Deps, IncomingBilled } from "./deps.ts";

/**
 * One billed call, from its first byte to its last: resolves when the call is over. From `admit`
 * on, `call.end` is the only way out: it records the call, once, before the last bytes leave.
 * Rejects with a `Fault` if the proxy itself refuses the call; then the client has got nothing.
 */
export async function journey(incoming: IncomingBilled, deps: Deps): Promise<void> {
  const caller = await authenticate(incoming, deps);
  const facts = await read(incoming, caller, deps);
  const trace = belongingOf({ incoming, asked: facts, caller }, deps);
  const call = await admit({ incoming, caller, facts, trace }, deps);
  const answer = await forward(call, facts.body);
  await relay(answer, call);
}
