import { type FaultCode, FAULTS } from "../domain/fault.ts";
import type { Observe } from "../domain/observe.ts";
import type { Closing, OpenCall, Outcome } from "../domain/usage.ts";
import { costUsd } from "../domain/money.ts";
import { BoundedLines } from "./bounded_lines.ts";
import { DailyLines } from "./daily_lines.ts";
import type { Logger, LogLevel } from "./log.ts";
import type { Metrics } from "./metrics.ts";

export interface ObserveOptions {
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
}

/** What an operator should look at stands out from what is a day's work. */
const LEVEL_OF_OUTCOME: Readonly<Record<Outcome, LogLevel>> = {
  completed: "info",
  client_left: "info",
  upstream_error: "info",
  upstream_broke: "warn",
  proxy_cut: "warn",
  unknown: "warn",
};

const CREDENTIAL_KIND = "credential";
const BAD_CREDENTIAL =
  "the upstream refuses the operator's own credential with 401: calls fail until ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN " +
  "(or the file it is read from) holds a good one; change it and send SIGHUP or restart";

const UNPRICED =
  "a call has no price and counts as unpriced, not as free: add the price to the file that LLMPROXY_PRICES_FILE names, send " +
  "SIGHUP, and run llmproxy reprice (told once a day and model)";

const PARTLY_PRICED =
  "some uses of a call have no price and are not in its cost; the rest of it is: if they cost something, add their price to the " +
  "serverTools of the file that LLMPROXY_PRICES_FILE names, send SIGHUP, and run llmproxy reprice (told once a day and counter)";

const ABSURD_KIND = "absurd_usage";
const ABSURD =
  "the upstream named a token count that cannot be true: none of the call's counts are taken, and its row is unknown with the " +
  "error type absurd_usage";

/**
 * Logs and metrics behind the seam. Lines that a sandbox can provoke at will are bounded by kind; the metrics count them all.
 * A call that passed without a row is a line at `debug` only.
 */
export function newObserve({ logger, metrics, elapsed }: ObserveOptions): Observe {
  const bounded = new BoundedLines(elapsed, (kind, suppressed) => {
    logger.log("warn", "log lines were left out", { kind, suppressed });
  });
  const daily = new DailyLines(elapsed);
  return {
    callEnded(call, closing, { overheadMs, isRecorded, clientIp }) {
      bounded.settle();
      metrics.callEnded(closing, { streaming: call.streaming, overheadMs, isRecorded });
      const level = isRecorded ? LEVEL_OF_OUTCOME[closing.outcome] : "warn";
      const message = isRecorded ? "call ended" : "call ended and is not recorded: the spool is full";
      if (logger.isEnabled(level)) {
        logger.log(level, message, { ...callFields({ call, closing, overheadMs }), clientIp: clientIp ?? undefined });
      }
    },
    unpriced(requestId, { why, model }) {
      metrics.unpriced(model);
      if (!daily.admit(JSON.stringify([why, model]))) return;
      logger.log("warn", UNPRICED, { requestId, why, model: model ?? undefined });
    },
    partlyPriced(requestId, { model, uses }) {
      metrics.partlyPriced(model);
      for (const [counter, count] of Object.entries(uses)) {
        if (!daily.admit(JSON.stringify(["counter", counter]))) continue;
        logger.log("warn", PARTLY_PRICED, { requestId, counter, count, model: model ?? undefined });
      }
    },
    absurdUsage(requestId, servedModel) {
      metrics.absurdUsage(servedModel);
      if (bounded.admit(ABSURD_KIND)) logger.log("error", ABSURD, { requestId, model: servedModel ?? undefined });
    },
    refused(requestId, fault, { sandbox, path, client, clientIp }) {
      metrics.refused(fault.code);
      if (!bounded.admit(fault.code)) return;
      const { status } = FAULTS[fault.code];
      logger.log(levelOfFault(fault.code), "refused", {
        requestId,
        fault: fault.code,
        status,
        workspaceId: sandbox?.workspaceId,
        sandboxId: sandbox?.sandboxId,
        tokenId: sandbox?.tokenId ?? undefined,
        clientIp: clientIp ?? undefined,
        path,
        client: client ?? undefined,
        said: fault.message,
        cause: fault.cause,
      });
    },
    passed(requestId, route, status, from) {
      bounded.settle();
      metrics.passed(route, status);
      if (logger.isEnabled("debug")) {
        logger.log("debug", "call passed", { requestId, route, status, clientIp: from?.clientIp ?? undefined });
      }
    },
    lookedUp(authority, outcome) {
      bounded.settle();
      metrics.lookedUp(authority, outcome);
    },
    credentialRefused(requestId, credentialId) {
      metrics.credentialRefused();
      if (bounded.admit(CREDENTIAL_KIND)) logger.log("error", BAD_CREDENTIAL, { requestId, credentialId });
    },
    note(level, message, fields) {
      bounded.settle();
      logger.log(level, message, fields);
    },
  };
}

function levelOfFault(code: FaultCode): LogLevel {
  if (code === "internal_error") return "error";
  return FAULTS[code].status >= 500 ? "warn" : "info";
}

/** The line of one call. What is not known is left out; counts and `accuracy` always stand there. */
function callFields(
  { call, closing, overheadMs }: { readonly call: OpenCall; readonly closing: Closing; readonly overheadMs: number },
): Readonly<Record<string, unknown>> {
  const { reading } = closing;
  return {
    requestId: call.id,
    traceId: call.traceId,
    workspaceId: call.workspaceId,
    sandboxId: call.sandboxId,
    tokenId: call.tokenId ?? undefined,
    credentialId: call.credentialId ?? undefined,
    agentId: call.agentId ?? undefined,
    client: call.client ?? undefined,
    messageId: reading.messageId ?? undefined,
    upstreamRequestId: closing.upstreamRequestId ?? undefined,
    provider: call.provider,
    requestedModel: call.requestedModel,
    servedModel: reading.servedModel ?? undefined,
    streaming: call.streaming,
    outcome: closing.outcome,
    accuracy: closing.accuracy,
    status: closing.status ?? undefined,
    errorType: reading.errorType ?? undefined,
    stopReason: reading.stopReason ?? undefined,
    refusalCategory: reading.refusalCategory || undefined,
    inputTokens: reading.inputTokens,
    outputTokens: reading.outputTokens,
    cacheCreationInputTokens: reading.cacheCreationInputTokens,
    cacheReadInputTokens: reading.cacheReadInputTokens,
    costUsd: closing.cost === null ? undefined : costUsd(closing.cost),
    durationMs: rounded(closing.duration),
    ttftMs: rounded(closing.ttft),
    overheadMs: rounded(overheadMs),
  };
}

/** To a hundredth of a millisecond. */
function rounded(ms: number | null): number | undefined {
  return ms === null ? undefined : Math.round(ms * 100) / 100;
}
