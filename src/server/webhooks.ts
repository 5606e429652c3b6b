import { createHash } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { delay } from "../async/deadline.ts";
import type { OperatorEvent } from "../domain/events.ts";
import { LIMIT_KINDS } from "../domain/limits.ts";
import { costUsd } from "../domain/money.ts";
import type { Observe } from "../domain/observe.ts";
import type { Fetch } from "../wire/plain_fetch.ts";

export interface WebhooksOptions {
  readonly url: string;
  /** Read for each message, because it can be rotated; null: messages are not signed. */
  readonly secret: () => string | null;
  readonly fetch: Fetch;
  readonly now: () => number;
  readonly observe: Pick<Observe, "note">;
  readonly pace: WebhookPace;
}

export interface WebhookPace {
  readonly timeoutMs: number;
  /** Between two attempts, in turn. After the last one the message is given up. */
  readonly retryMs: readonly number[];
}

/** As Standard Webhooks advises, up to a day. */
export const WEBHOOK_PACE: WebhookPace = {
  timeoutMs: 15_000,
  retryMs: [5_000, 60_000, 5 * 60_000, 30 * 60_000, 2 * 3_600_000, 5 * 3_600_000, 10 * 3_600_000],
};

/** Messages that wait. Further ones are dropped, and the log says so. */
const MOST_WAITING = 1_000;

/** Sends events to an operator's endpoint. No call waits for it. */
export interface Webhooks {
  readonly send: (event: OperatorEvent) => void;
  /** Gives up what waits. */
  readonly end: () => void;
}

/**
 * Sends each event as Standard Webhooks has it (https://www.standardwebhooks.com). The id is the
 * same whichever replica tells of an event, so that a receiver knows it from the second one.
 */
export function startWebhooks({ url, secret, fetch, now, observe, pace }: WebhooksOptions): Webhooks {
  const stopping = new AbortController();
  let waiting = 0;

  async function deliver(event: OperatorEvent): Promise<void> {
    const body = JSON.stringify({ type: event.type, timestamp: new Date(now()).toISOString(), data: dataOf(event) });
    const id = idOf(event);
    for (const waitMs of [...pace.retryMs, null]) {
      const trouble = await attempt(id, body);
      if (trouble === null) return;
      if (waitMs === null || stopping.signal.aborted) {
        observe.note("error", "a webhook message was given up", { id, event: event.type, trouble });
        return;
      }
      await delay(waitMs, stopping.signal);
    }
  }

  /** Null if the endpoint took it. */
  async function attempt(id: string, body: string): Promise<string | null> {
    try {
      const at = new Date(now());
      const key = secret();
      const answer = await fetch(url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "webhook-id": id,
          "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
          ...(key === null ? {} : { "webhook-signature": new Webhook(key).sign(id, at, body) }),
        },
        body,
        redirect: "manual",
        signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(pace.timeoutMs)]),
      });
      await answer.body?.cancel();
      return answer.ok ? null : `the endpoint answered with ${answer.status}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  return {
    send(event) {
      if (stopping.signal.aborted) return;
      if (waiting >= MOST_WAITING) {
        return observe.note("error", "a webhook message was dropped: too many wait", { event: event.type });
      }
      waiting++;
      void deliver(event).finally(() => waiting--);
    },
    end: () => stopping.abort(),
  };
}

function idOf(event: OperatorEvent): string {
  const key = event.type === "limit.reached"
    ? [event.workspaceId, event.bound.scope, event.bound.id, event.bound.kind, event.bound.from, event.bound.max, event.percent]
    : [event.workspaceId, event.traceId, event.why, Math.floor(event.until / 60_000)];
  return `msg_${createHash("sha256").update(JSON.stringify([event.type, ...key])).digest("hex").slice(0, 32)}`;
}

/** In the keys of the admin API. */
export function dataOf(event: OperatorEvent): Readonly<Record<string, unknown>> {
  if (event.type === "trace.paused") {
    const { type: _, until, ...data } = event;
    return { ...data, until: new Date(until).toISOString() };
  }
  const { workspaceId, bound: { kind, scope, id, max, until }, percent, used } = event;
  const shown = (value: number) => LIMIT_KINDS[kind].counts === "cost" ? costUsd(value) : value;
  const resetsAt = until === null ? {} : { resetsAt: new Date(until).toISOString() };
  return { workspaceId, scope, id, kind, percent, used: shown(used), max: shown(max), ...resetsAt };
}
