/**
 * A process that records calls until it is killed: `DIR RUN SYNCHRONOUS`. Prints a line for each
 * promise that resolved, `open ID` or `close ID`, in the same turn in which it did.
 */
import { openEmbedded } from "../../src/stores/sqlite/embedded.ts";
import { callOf, closingOf, T0, traceOf } from "./samples.ts";

const [dir, instanceId, synchronous] = Deno.args as [string, string, "normal" | "full"];
const { ledger } = await openEmbedded({ dir, instanceId, synchronous, now: Date.now, onTrouble: console.error });
const encoder = new TextEncoder();

await Promise.all(Array.from({ length: 30 }, (_, lane) => record(lane)));

async function record(lane: number): Promise<void> {
  for (let n = 0;; n++) {
    const call = callOf({ id: `ar-${instanceId}-${lane}-${n}`, instanceId, traceId: `at-${lane}`, createdAt: T0 + n });
    await ledger.open(call, traceOf(call));
    print(`open ${call.id}\n`);
    await ledger.close(call, closingOf({ outputTokens: 1 }));
    print(`close ${call.id}\n`);
  }
}

function print(line: string): void {
  Deno.stdout.writeSync(encoder.encode(line));
}
