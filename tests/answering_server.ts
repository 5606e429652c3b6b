/** A listener of this program whose requests a test answers by itself. */
import { HeaderFields } from "../src/domain/header_fields.ts";
import type { IncomingMessage } from "node:http";
import { rawAnswer } from "../src/http/head_refusal.ts";
import { HttpAnswer } from "../src/http/http_answer.ts";
import { listen, type Listener, type ListenerOptions } from "../src/server/listener.ts";

/** One request, as it comes to the handler. */
export interface Asked {
  readonly incoming: IncomingMessage;
  readonly answer: HttpAnswer;
  readonly number: number;
  /** The client waits for `100 Continue`. */
  readonly expects: boolean;
  readonly goOn: () => void;
}

export interface AnsweringServer extends AsyncDisposable {
  readonly url: string;
  readonly listener: Listener;
  /** What an operator was told. */
  readonly troubles: readonly string[];
}

export interface AnsweringOptions extends Partial<Pick<ListenerOptions, "headMs" | "idleMs" | "maxConnections">> {
  readonly stallMs?: number;
}

const LONG_MS = 60_000;

/** Its answers have the ids `ar-1`, `ar-2`, …; what is no request gets the fault's name as body. */
export async function startAnswering(
  handle: (asked: Asked) => unknown,
  { stallMs = LONG_MS, ...over }: AnsweringOptions = {},
): Promise<AnsweringServer> {
  const troubles: string[] = [];
  let count = 0;
  const listener = await listen({
    setting: "LLMPROXY_LISTEN_ADDR",
    address: { hostname: "127.0.0.1", port: 0 },
    ...{ headMs: LONG_MS, idleMs: LONG_MS, maxConnections: 1_000 },
    refuseHead: (fault) => rawAnswer(400, {}, fault),
    onTrouble: (message) => void troubles.push(message),
    handle: (incoming, outgoing, expects) => {
      const number = ++count;
      const answer = new HttpAnswer(incoming, outgoing, { requestId: `ar-${number}`, stallMs });
      void handle({ incoming, answer, number, expects, goOn: () => outgoing.writeContinue() });
    },
    ...over,
  });
  return {
    url: `http://127.0.0.1:${listener.address.port}`,
    listener,
    troubles,
    [Symbol.asyncDispose]: () => listener.shutdown(),
  };
}

/** The head of a 200 with those headers. */
export function good(headers: Readonly<Record<string, string>> = {}) {
  return { status: 200, statusText: "OK", headers: new HeaderFields(Object.entries(headers)) };
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
