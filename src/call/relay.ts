import { Fault } from "../domain/fault.ts";
import type { Outcome } from "../domain/usage.ts";
import { pump, type PumpSink } from "../wire/pump.ts";
import { AnswerReader } from "./answer_reader.ts";
import { returned } from "./forward.ts";
import type { LiveCall } from "./live_call.ts";

/** Statuses of answers without a body (Fetch standard, "null body status"). */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/**
 * Passes the answer to the client unchanged while it reads a copy, and resolves when the call is
 * over. The call's end is committed before the last bytes leave. If the answer breaks, ends early
 * or cannot be committed, the client's connection breaks too. Rejects with `Fault`
 * `ledger_unavailable` or `upstream_unreachable` if there is no body to pass.
 */
export async function relay(answer: Response, call: LiveCall): Promise<void> {
  const { incoming: { client }, idle, signal, upstream, deps, row } = call;
  const head = returned(answer, call);
  if (answer.body === null || NULL_BODY_STATUSES.has(answer.status)) {
    // Whatever the status says, an answer without a body is no message.
    await call.end("upstream_error");
    client.begin(head);
    return await client.end();
  }
  if (answer.ok && head.headers.get("content-length") === "0") {
    await call.end("upstream_broke");
    throw call.refusal(new Fault("upstream_unreachable", "The upstream's answer is empty."));
  }
  const reader = new AnswerReader(answer, { dialect: row!.dialect.answer, asked: row!.asked });
  call.reading = () => reader.reading;
  const isSized = head.headers.has("content-length");
  let isBetweenEvents = false;
  let hasItsEnd = false;
  const sink: PumpSink = {
    write(chunk, written) {
      isBetweenEvents = endsEvent(chunk);
      hasItsEnd = reader.outcome !== null;
      return client.write(chunk, written);
    },
    end: (last) => client.end(last),
  };

  const ended = (outcome: Outcome) => {
    if (reader.reading.isOutOfCredit) upstream.credentials.outOfCredit(call.credential);
    return call.end(outcome, reader.reading);
  };
  const looked = () => {
    if (reader.reading.hasContent) row?.contentCame();
    row?.noteMade(reader.reading.made);
    const { outcome } = reader;
    return outcome === null ? undefined : ended(outcome);
  };
  const watch = {
    look: (chunk: Uint8Array) => {
      // The row will not know of these bytes, and they may be the answer's end.
      signal.throwIfAborted();
      if (call.hasEnded) return;
      const pushed = reader.push(chunk);
      return pushed === undefined ? looked() : pushed.then(looked);
    },
    ended: async () => {
      if (call.hasEnded) return "whole" as const;
      const outcome = await reader.end();
      await ended(outcome);
      return outcome === "upstream_broke" ? "broken" as const : "whole" as const;
    },
  };
  client.begin(head);
  try {
    await pump(answer.body, sink, { watch, holdsLast: () => isSized || reader.holdsLast, isSized, idle, signal });
  } catch (error) {
    const { outcome, fault } = call.failureOf(error);
    await call.end(outcome, reader.reading).catch(() => {});
    // An event of our own fits between plain events only: those of which nothing is held back.
    const mayTell = deps.brokenStream === "event" && !reader.holdsLast && !isSized && !hasItsEnd;
    if (mayTell && isBetweenEvents) client.write(errorEvent(fault, call));
    await client.break();
  } finally {
    reader.close();
  }
}

/** Only after a whole event does one of our own stand for itself. */
function endsEvent(chunk: Uint8Array): boolean {
  const before = (end: number) => chunk[chunk.length - end];
  return before(1) === LF && (before(2) === LF || (before(2) === CR && before(3) === LF && before(4) === CR));
}

const [CR, LF] = [0x0d, 0x0a];

function errorEvent(fault: Fault, { incoming }: LiveCall): Uint8Array {
  return new TextEncoder().encode(incoming.provider.errorEvent(fault, incoming.requestId));
}
