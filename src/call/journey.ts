import { admit } from "./admit.ts";
import { authenticate } from "./authenticate.ts";
import { forward } from "./forward.ts";
import { meter } from "./meter.ts";
import { assertOwnFiles } from "./ownership.ts";
import { read } from "./read.ts";
import { Recorder } from "./record.ts";
import { belongingOf } from "./trace.ts";
import type { Deps, IncomingCall } from "./deps.ts";

/**
 * One billed call, from the sandbox's request to the answer on its way back; its row is closed before the last bytes leave.
 * Rejects with a `Fault` where the proxy itself says no.
 */
export async function journey(arrival: IncomingCall, deps: Deps): Promise<Response> {
  const sandbox = await authenticate(arrival, deps);
  const asked = await read(arrival, sandbox, deps);
  arrival.userId = asked.userId;
  try {
    await assertOwnFiles(asked.fileIds, { sandbox, deps });
    const belonging = await belongingOf({ headers: arrival.request.headers, asked, sandbox }, deps);
    const credential = deps.upstream.credential();
    const admitted = await admit(arrival, { sandbox, asked, belonging, credential, deps });
    const recorder = new Recorder(admitted, { arrival, asked, deps });
    recorder.settled.then(asked.body.release);
    const exchange = await forward(arrival, { asked, credential, recorder, deps });
    return await meter(exchange, { recorder, deps });
  } catch (error) {
    asked.body.release();
    throw error;
  } finally {
    asked.body.sent();
  }
}
