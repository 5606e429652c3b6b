import { type FaultCode, FAULTS } from "../domain/fault.ts";
import type { CallSpan, Observe } from "../domain/observe.ts";
import type { Closing, OpenCall, Outcome } from "../domain/usage.ts";
import { costUsd } from "../domain/money.ts";
import { BoundedLines, DailyLines } from "./bounded_lines.ts";
import type { CallTelemetry } from "./call_telemetry.ts";
import type { Logger, LogLevel } from "./log.ts";
import type { Metrics } from "./metrics.ts";

export interface ObserveOptions {
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Null: there is no telemetry besides the log and `metrics`. */
  readonly telemetry: CallTelemetry | null;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
}

/** An operator should look at the warnings. */
const LEVEL_OF_OUTCOME: Readonly<Record<Outcome, LogLevel>> = {
  completed: "info",
  client_left: "info",
  upstream_error: "info",
  upstream_broke: "warn",
  proxy_cut: "warn",
  stopped: "warn",
  unknown: "warn",
};

const BAD_CREDENTIAL =
  "the upstream refuses the operator's own credential: calls fail until ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN " +
  "(or the file it is read from, or the file of keys or of upstreams) holds a good one; change it and send SIGHUP or restart";

const UNPRICED =
  "a call has no price and counts as unpriced, not as free: add the price to the file that LLMPROXY_PRICES_FILE names, send " +
  "SIGHUP, and run llmproxy reprice (logged once a day and model)";

const PARTLY_PRICED =
  "some uses of a call have no price and are missing in its cost: if they are not free, add their price to the serverTools of " +
  "the file that LLMPROXY_PRICES_FILE names, send SIGHUP, and run llmproxy reprice (logged once a day and counter)";

const ABSURD =
  "the upstream sent a token count that cannot be true: the call's row has no counts, is unknown and has the error type " +
  "absurd_usage";

/**
 * Logs, metrics and spans behind the seam. Lines that a sandbox can cause at will are bounded by
 * kind; the metrics count all. A call that passed without a row has a line at `debug` only.
 */
export function newObserve({ logger, metrics, telemetry, elapsed }: ObserveOptions): Observe {
  const bounded = new BoundedLines(elapsed, (kind, suppressed) => {
    logger.log("warn", "log lines were left out", { kind, suppressed });
  });
  const daily = new DailyLines(elapsed);
  return {
    callBegan: (call, headers) => telemetry?.callBegan(call, headers) ?? null,
    callEnded(call, closing, { overheadMs, isRecorded, clientIp, upstreamUrl, span }) {
      bounded.settle();
      metrics.callEnded(closing, { streaming: call.streaming, upstream: call.upstream, overheadMs, isRecorded });
      telemetry?.callEnded(call, closing, { span, upstreamUrl });
      const level = isRecorded ? LEVEL_OF_OUTCOME[closing.outcome] : "warn";
      const message = isRecorded ? "call ended" : "call ended and is not recorded: the spool is full";
      if (!logger.isEnabled(level)) return;
      logger.log(
        level,
        message,
        known({ ...callFields(call, closing), overheadMs: rounded(overheadMs), clientIp, ...spanFields(span) }),
      );
    },
    unpriced(requestId, { why, model }) {
      metrics.unpriced(model);
      if (daily.admit(JSON.stringify([why, model]))) logger.log("warn", UNPRICED, known({ requestId, why, model }));
    },
    partlyPriced(requestId, { model, uses }) {
      metrics.partlyPriced(model);
      for (const [counter, count] of Object.entries(uses)) {
        if (!daily.admit(JSON.stringify(["counter", counter]))) continue;
        logger.log("warn", PARTLY_PRICED, known({ requestId, counter, count, model }));
      }
    },
    absurdUsage(requestId, servedModel) {
      metrics.absurdUsage(servedModel);
      if (bounded.admit("absurd_usage")) logger.log("error", ABSURD, known({ requestId, model: servedModel }));
    },
    refused(requestId, fault, { sandbox, path, client, clientIp, status = FAULTS[fault.code].status }) {
      metrics.refused(fault.code);
      if (!bounded.admit(fault.code)) return;
      const { workspaceId, sandboxId, tokenId } = sandbox ?? {};
      const request = { requestId, fault: fault.code, status, workspaceId, sandboxId, tokenId, clientIp, path, client };
      logger.log(levelOfFault(fault.code), "refused", known({ ...request, said: fault.message, cause: fault.cause }));
    },
    passed(requestId, route, status, from) {
      bounded.settle();
      metrics.passed(route, status);
      if (logger.isEnabled("debug")) {
        logger.log("debug", "call passed", known({ requestId, route, status, clientIp: from?.clientIp }));
      }
    },
    lookedUp(authority, outcome) {
      bounded.settle();
      metrics.lookedUp(authority, outcome);
    },
    credentialRefused(requestId, credentialId) {
      metrics.credentialRefused();
      if (bounded.admit("credential")) logger.log("error", BAD_CREDENTIAL, { requestId, credentialId });
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

/** The line leaves out what is not known. */
function known(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const line: Record<string, unknown> = {};
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (value !== null && value !== undefined) line[name] = value;
  }
  return line;
}

function callFields(call: OpenCall, closing: Closing): Readonly<Record<string, unknown>> {
  const { reading } = closing;
  return {
    requestId: call.id,
    traceId: call.traceId,
    workspaceId: call.workspaceId,
    sandboxId: call.sandboxId,
    tokenId: call.tokenId,
    credentialId: call.credentialId,
    agentId: call.agentId,
    client: call.client,
    messageId: reading.messageId,
    upstreamRequestId: closing.upstreamRequestId,
    provider: call.provider,
    upstream: call.upstream,
    requestedModel: call.requestedModel,
    servedModel: reading.servedModel,
    streaming: call.streaming,
    outcome: closing.outcome,
    accuracy: closing.accuracy,
    status: closing.status,
    errorType: reading.errorType,
    stopReason: reading.stopReason,
    refusalCategory: reading.refusalCategory || null,
    inputTokens: reading.inputTokens,
    outputTokens: reading.outputTokens,
    cacheCreationInputTokens: reading.cacheCreationInputTokens,
    cacheReadInputTokens: reading.cacheReadInputTokens,
    costUsd: closing.cost === null ? null : costUsd(closing.cost),
    durationMs: rounded(closing.duration),
    ttftMs: rounded(closing.ttft),
  };
}

/**
 * As log readers expect them.
 * https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/
 */
function spanFields(span: CallSpan | null) {
  return span === null ? {} : { trace_id: span.traceId, span_id: span.spanId };
}

/** To a hundredth of a millisecond. */
function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 100) / 100;
}
