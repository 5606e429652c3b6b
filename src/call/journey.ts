import { admit } from "./admit.ts";
import { authenticate } from "./authenticate.ts";
import { forward } from "./forward.ts";
import { meter } from "./meter.ts";
import { assertOwnFiles } from "./ownership.ts";
import { read } from "./read.ts";
import { Recorder } from "./record.ts";
import { belongingOf } from "./trace.ts";
import type { Arrival, World } from "./world.ts";

/**
 * One billed call, from the sandbox's request to the answer on its way back; its row is closed before the last bytes leave.
 * Rejects with a `Fault` where the proxy itself says no.
 */
export async function journey(arrival: Arrival, world: World): Promise<Response> {
  const sandbox = await authenticate(arrival, world);
  const asked = await read(arrival, sandbox, world);
  arrival.userId = asked.userId;
  try {
    await assertOwnFiles(asked.fileIds, { sandbox, world });
    const belonging = await belongingOf({ headers: arrival.request.headers, asked, sandbox }, world);
    const credential = world.upstream.credential();
    const admitted = await admit(arrival, { sandbox, asked, belonging, credential, world });
    const recorder = new Recorder(admitted, { arrival, asked, world });
    recorder.settled.then(asked.body.release);
    const exchange = await forward(arrival, { asked, credential, recorder, world });
    return await meter(exchange, { recorder, world });
  } catch (error) {
    asked.body.release();
    throw error;
  } finally {
    asked.body.sent();
  }
}
