import type { OperatorEvent, TellOperator } from "../domain/events.ts";
import type { Observe } from "../domain/observe.ts";
import { plainFetch } from "../wire/plain_fetch.ts";
import type { HttpClients } from "./http_clients.ts";
import type { Live } from "./upstream_parts.ts";
import { dataOf, startWebhooks, WEBHOOK_PACE } from "./webhooks.ts";

const WORDS: Readonly<Record<OperatorEvent["type"], string>> = {
  "limit.reached": "a share of a limit is used",
  "trace.paused": "a session was paused: it calls or spends too fast, or asks the same again and again",
};

/** Tells the operator in the log, and by webhook if there is one. */
export function operatorTold(
  url: string | null,
  { live, clients, now, observe }: {
    readonly live: Live;
    readonly clients: HttpClients;
    readonly now: () => number;
    readonly observe: Pick<Observe, "note">;
  },
): { readonly tell: TellOperator; readonly end: () => void } {
  const webhooks = url === null ? null : startWebhooks({
    ...{ url, now, observe, pace: WEBHOOK_PACE },
    secret: () => live.secrets.webhookSecret,
    fetch: plainFetch(clients.fetch),
  });
  return {
    tell(event) {
      observe.note("warn", WORDS[event.type], dataOf(event));
      webhooks?.send(event);
    },
    end: () => webhooks?.end(),
  };
}
