import { getRequestListener } from "@hono/node-server";
import type { IncomingMessage, ServerResponse } from "node:http";
import { FAULTS } from "../domain/fault.ts";
import type { AdminBindings } from "./admin.ts";
import { HEAD_MESSAGES, type HeadFault, rawAnswer } from "./head_refusal.ts";

/**
 * The admin API for a `node:http` server. An answer that breaks off is a reset, so that no client
 * takes half of an export for the whole.
 */
export function adminRequests(fetch: (request: Request, from: AdminBindings) => Response | Promise<Response>) {
  const answer = getRequestListener(
    (request, { incoming }) => fetch(request, { address: incoming.socket.remoteAddress }),
    { overrideGlobalObjects: false, hostname: "localhost" },
  );
  return {
    handle(incoming: IncomingMessage, outgoing: ServerResponse, expects: boolean): void {
      if (expects) outgoing.writeContinue();
      const { socket } = incoming;
      // The library waits for the rest of a body that has none.
      const failIfCut = () => void (incoming.complete || incoming.destroy());
      incoming.once("aborted", failIfCut);
      const onEnd = () => followsEvents(incoming) ? socket.destroy() : failIfCut();
      socket.once("end", onEnd);
      outgoing.once("close", () => socket.off("end", onEnd));
      outgoing.destroy = () => {
        socket.resetAndDestroy();
        return outgoing;
      };
      void answer(incoming, outgoing);
    },
    refuseHead(fault: HeadFault): string {
      const body = JSON.stringify({ error: { type: "invalid_request_error", message: HEAD_MESSAGES[fault] } });
      return rawAnswer(FAULTS[fault].status, { "content-type": "application/json" }, body);
    },
  };
}

/** A client that closes its half waits for its answer; one that follows events has left. */
function followsEvents({ headers }: IncomingMessage): boolean {
  return headers.accept === "text/event-stream";
}
