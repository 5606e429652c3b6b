import { Fault } from "../domain/fault.ts";
import { tap, type Watch } from "../wire/tap.ts";
import { AnswerReader } from "./answer_reader.ts";
import { returned } from "./forward.ts";
import type { LiveCall } from "./live_call.ts";

/** Statuses of answers without a body (Fetch standard, "null body status"). */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/**
 * Passes the answer to the client unchanged while it reads a copy. The call's end is committed
 * before the last bytes leave. If the answer breaks, ends early or cannot be committed, the
 * client's connection breaks too. Rejects with `Fault` `ledger_unavailable` or
 * `upstream_unreachable` if there is no body to pass.
 */
export async function relay(answer: Response, call: LiveCall): Promise<Response> {
  const init = returned(answer, call.credential);
  if (answer.body === null || NULL_BODY_STATUSES.has(answer.status)) {
    // Whatever the status says, an answer without a body is no message.
    await call.end("upstream_error");
    return new Response(null, init);
  }
  if (answer.ok && init.headers.get("content-length") === "0") {
    await call.end("upstream_broke");
    throw call.refusal(new Fault("upstream_unreachable", "The upstream's answer is empty."));
  }
  const reader = new AnswerReader(answer, {
    provider: call.deps.provider,
    isStreamAsked: call.row?.call.streaming ?? false,
  });
  call.answeredTo(reader);
  const isSized = init.headers.has("content-length");
  const holdsLast = () => isSized || reader.holdsLast;
  return new Response(tap(answer.body, watchOf(reader, call), { holdsLast, isSized, idle: call.idle }), init);
}

function watchOf(reader: AnswerReader, call: LiveCall): Watch {
  const looked = () => {
    if (reader.reading.hasContent) call.row?.contentCame();
    const { outcome } = reader;
    return outcome === null ? undefined : call.end(outcome);
  };
  return {
    look: (chunk) => {
      // The row no longer knows of these bytes, and they may be the answer's end.
      if (call.isCutOff) throw new Error("the call has been cut off");
      if (call.hasEnded) return;
      const pushed = reader.push(chunk);
      return pushed === undefined ? looked() : pushed.then(looked);
    },
    ended: async () => {
      if (call.isCutOff) return "broken";
      if (call.hasEnded) return "tidy";
      const outcome = await reader.end();
      await call.end(outcome);
      return call.isCutOff || outcome === "upstream_broke" ? "broken" : "tidy";
    },
    broke: async (error) => {
      await call.end(call.failureOf(error).outcome).catch(() => {});
    },
    left: () => call.clientLeft() ? "cancel" : "drain",
  };
}
