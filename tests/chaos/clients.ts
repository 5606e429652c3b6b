/**
 * Clients that call without a pause worth the name, know what each answer costs, and go elsewhere
 * when their proxy dies.
 */
import { isWholeMessage } from "../metered_calls.ts";
import { messageCall, received } from "../proxy_under_test.ts";
import { NUMBER_HEADER, TRACE_HEADER } from "./calls.ts";
import type { Replica } from "./replicas.ts";

/** What a client knows of one call. */
export interface Told {
  readonly number: number;
  readonly replica: Replica;
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly traceId: string;
  /**
   * `whole`: the answer came to its last byte. `broken`: it began, and broke off. `left`: the
   * client left in the middle. `lost`: nothing came. `refused`: the proxy itself said no.
   */
  readonly outcome: "whole" | "broken" | "left" | "lost" | "refused";
  readonly status: number | null;
  readonly requestId: string | null;
  /** What a refusal, or the connection's end, says. */
  readonly words: string;
  /** By `performance.now()`. */
  readonly from: number;
  readonly to: number;
}

export interface Caller {
  readonly token: string;
  readonly workspaceId: string;
  readonly sandboxId: string;
}

export interface ClientsOptions {
  readonly count: number;
  readonly replicas: readonly Replica[];
  readonly callers: readonly Caller[];
  readonly random: () => number;
  /** Between two calls of one client, on average. */
  readonly pauseMs: number;
}

const TRACES = 40;
/** Of streams, the part whose client leaves before the end. */
const LEAVING = 0.03;
const ELSEWHERE_MS = 50;

export interface Clients {
  readonly told: readonly Told[];
  /** Resolves when the calls under way have ended. */
  stop(): Promise<void>;
}

export function startClients(options: ClientsOptions): Clients {
  const told: Told[] = [];
  const state = { isStopped: false, number: 0 };
  const client = Deno.createHttpClient({ http2: false, poolMaxIdlePerHost: options.count });

  async function live(n: number): Promise<void> {
    let at = n;
    while (!state.isStopped) {
      const replica = options.replicas[at % options.replicas.length]!;
      if (replica.proxy === null) {
        at++;
        await pause(ELSEWHERE_MS);
        continue;
      }
      const one = await call(replica, { ...options, number: ++state.number, client });
      told.push(one);
      if (one.outcome === "lost" || one.outcome === "broken" || one.outcome === "refused") at++;
      await pause(options.random() * 2 * options.pauseMs);
    }
  }

  const living = Promise.all(Array.from({ length: options.count }, (_, n) => live(n)));
  return {
    told,
    stop: async () => {
      state.isStopped = true;
      await living;
      client.close();
    },
  };
}

async function call(
  replica: Replica,
  options: ClientsOptions & { readonly number: number; readonly client: Deno.HttpClient },
): Promise<Told> {
  const { number, random, callers } = options;
  const caller = callers[Math.floor(random() * callers.length)]!;
  const traceId = `at-chaos-${Math.floor(random() * TRACES)}`;
  const stream = random() < 0.5;
  const leaveAfterMs = stream && random() < LEAVING ? random() * 100 : null;
  const leaving = new AbortController();
  const timer = leaveAfterMs === null ? undefined : setTimeout(() => leaving.abort(), leaveAfterMs);
  const { workspaceId, sandboxId, token } = caller;
  const known = { number, replica, workspaceId, sandboxId, traceId, from: performance.now() };
  const headers = { [NUMBER_HEADER]: String(number), [TRACE_HEADER]: traceId };
  const init = messageCall(token, { stream, headers, signal: leaving.signal });
  try {
    const answer = await fetch(`${replica.proxy!.url}/v1/messages`, { ...init, client: options.client });
    const { text, error } = await received(answer);
    const outcome = outcomeOf(answer, { text, stream, isTidy: error === null, hasLeft: leaving.signal.aborted });
    const words = outcome === "refused" ? text : String(error ?? "");
    return {
      ...known,
      outcome,
      status: answer.status,
      requestId: answer.headers.get("x-llmproxy-request-id"),
      words,
      to: performance.now(),
    };
  } catch (error) {
    return {
      ...known,
      outcome: leaving.signal.aborted ? "left" : "lost",
      status: null,
      requestId: null,
      words: String(error),
      to: performance.now(),
    };
  } finally {
    clearTimeout(timer);
  }
}

function outcomeOf(
  answer: Response,
  got: { readonly text: string; readonly stream: boolean; readonly isTidy: boolean; readonly hasLeft: boolean },
): Told["outcome"] {
  if (answer.ok && isWholeMessage(got.text, got.stream)) return "whole";
  if (!got.isTidy || answer.ok) return got.hasLeft ? "left" : "broken";
  // The fake upstream's own errors say so.
  return got.text.includes("fake error") ? "whole" : "refused";
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
