/** A call in process: fakes of everything that it needs from outside, without sockets or files. */
import { deadline, unlessAborted } from "../src/async/deadline.ts";
import type { Deps, IncomingBilled } from "../src/call/deps.ts";
import { Refusals } from "../src/call/refusals.ts";
import { Stops } from "../src/call/stops.ts";
import { Traffic } from "../src/call/traffic.ts";
import { Fault, type FaultCode } from "../src/domain/fault.ts";
import { NO_ESTIMATES, NO_LIMITS, NO_LOOPS } from "../src/domain/limits.ts";
import type { Owned } from "../src/domain/owned.ts";
import type { Closing, OpenCall } from "../src/domain/usage.ts";
import type { Upstream as UpstreamSpoken, Upstreams } from "../src/domain/upstream.ts";
import { anthropic, CLIENTS, messages } from "./anthropic.ts";
import { onlyCredential } from "./fake_credentials.ts";
import { oneUpstream } from "./fake_upstreams.ts";
import { ByteBudget } from "../src/wire/budget.ts";
import { FakeClient } from "./fake_client.ts";
import { messageBody, messageEvents, sse, usageOf } from "./fake_messages.ts";
import { type Gate, gate } from "./wait.ts";

export const TOKEN = "tok-of-a-sandbox-0123456789";
export const OPERATOR_KEY = "sk-ant-operator-0123456789abcdef";
export const SANDBOX = { sandboxId: "sb-1", workspaceId: "w-1", tokenId: null };
/** 2026-01-01T00:00:00Z */
export const NOW = 1_767_225_600_000;

/** A request as the fake upstream got it, and the answer that a test writes to it. */
export interface SentCall {
  readonly url: string;
  readonly init: RequestInit;
  readonly body: () => Promise<string>;
}

export interface Scene extends AsyncDisposable {
  readonly deps: Deps;
  /** What happened, in order: `opened`, `sent`, `answered`, `closed OUTCOME`, `claimed ID`, … */
  readonly log: string[];
  readonly opened: OpenCall[];
  readonly closings: Closing[];
  readonly claims: Owned[];
  /** Lines that the observer got, each as one text. */
  readonly lines: string[];
  readonly sent: SentCall[];
  /** The client's disconnect. */
  readonly client: AbortController;
  /** Until it opens, commits of that kind wait. */
  holdBack(what: "open" | "close" | "claim"): Gate;
  /** From now on commits of that kind fail. */
  fail(what: "open" | "close" | "claim"): void;
}

/** The upstream's answer to a call; a rejection is a failed fetch. */
export type Upstream = (call: SentCall) => Response | Promise<Response>;

/** Disposing of the scene fails if a call is still in flight or a byte of the budget is held. */
export function scene(upstream: Upstream, over: Partial<Deps> = {}): Scene {
  const log: string[] = [];
  const [opened, closings, claims, lines, sent]: [OpenCall[], Closing[], Owned[], string[], SentCall[]] = [[], [], [], [], []];
  const gates = new Map<string, Gate>();
  const failing = new Set<string>();
  async function commit(what: string): Promise<void> {
    await gates.get(what)?.passed;
    if (failing.has(what)) throw new Fault("ledger_unavailable", "The record cannot be written at the moment.");
  }
  const traffic = new Traffic();
  const budget = new ByteBudget({ totalBytes: 1 << 24, perHolderBytes: 1 << 24 });
  const deps: Deps = {
    sandboxOf: (token) =>
      token === TOKEN ? Promise.resolve(SANDBOX) : Promise.reject(new Fault("unauthenticated", "This proxy token is not known.")),
    clients: CLIENTS,
    priceOf: () => ({ isPriced: true, nanoDollars: 7, version: "fake", unpricedUses: {}, isCertain: true }),
    ledger: {
      open: async (call) => {
        await commit("open");
        opened.push(call);
        log.push("opened");
        return "opened";
      },
      close: async (_call, closing) => {
        await commit("close");
        closings.push(closing);
        log.push(`closed ${closing.outcome}`);
      },
      join: (trace) => Promise.resolve(void log.push(`joined ${trace.id}`)),
      trouble: () => failing.has("claim") ? "the disk is full" : null,
    } as Partial<Deps["ledger"]> as Deps["ledger"],
    owners: {
      claim: async (owned) => {
        await commit("claim");
        claims.push(...owned);
        for (const { id } of owned) log.push(`claimed ${id}`);
      },
      ownersOf: (ids) =>
        Promise.resolve(
          new Map(
            ids.filter((id) => /^file_(own|other)$/.test(id)).map((id) => [
              id,
              {
                kind: "file",
                workspaceId: id === "file_own" ? SANDBOX.workspaceId : "w-other",
                credentialId: null,
                traceId: null,
              },
            ]),
          ),
        ),
    },
    sessions: { infers: false } as Deps["sessions"],
    batches: { firstLookMs: 60_000, accountFor: (id) => Promise.resolve(void log.push(`accounted ${id}`)) },
    observe: observer(lines),
    refusals: new Refusals("run-1"),
    traffic,
    stops: new Stops(traffic),
    fetch: async (url, init) => {
      log.push("sent");
      const call = { url, init, body: () => new Response(init.body).text() };
      sent.push(call);
      // As fetch does: an abort rejects a request that has no answer.
      const answer = await unlessAborted(init.signal!, Promise.resolve(upstream(call)));
      log.push("answered");
      return answer;
    },
    now: () => NOW,
    elapsed: () => performance.now(),
    newId: () => "01JGFJJZ000000000000000000",
    instanceId: "run-1",
    upstreams: sceneUpstream(),
    budget,
    bodyDeadlineMs: LONG_MS,
    limits: NO_LIMITS,
    estimates: NO_ESTIMATES,
    loops: NO_LOOPS,
    unpriced: "refuse",
    brokenStream: "reset",
    traceHeader: "x-trace-id",
    clientIpHeader: null,
    ...over,
  };
  return {
    ...{ deps, log, opened, closings, claims, lines, sent, client: new AbortController() },
    holdBack: (what) => {
      const held = gate();
      gates.set(what, held);
      return held;
    },
    fail: (what) => void failing.add(what),
    [Symbol.asyncDispose]: async () => {
      await deadline(deps.traffic.idle(), 5_000, () => new Error(`${deps.traffic.inFlight} calls never ended`));
      if (deps.budget.heldBytes !== 0) throw new Error(`${deps.budget.heldBytes} bytes of the budget are still held`);
    },
  };
}

/** The scene's upstream, with other parts. */
export function sceneUpstream(over: Partial<UpstreamSpoken> = {}): Upstreams {
  return oneUpstream({ credentials: onlyCredential(OPERATOR_KEY), ...over });
}

/** Longer than any test: a timer that is left behind fails the test that left it. */
const LONG_MS = 3_600_000;

function observer(lines: string[]): Deps["observe"] {
  const line = (kind: string) => (...given: unknown[]) => void lines.push(`${kind} ${JSON.stringify(given)}`);
  const kinds = [
    "callEnded",
    "unpriced",
    "partlyPriced",
    "absurdUsage",
    "refused",
    "passed",
    "lookedUp",
    "credentialRefused",
    "note",
  ];
  const tellers = Object.fromEntries(kinds.map((kind) => [kind, line(kind)]));
  return { ...tellers, callBegan: () => null } as unknown as Deps["observe"];
}

export interface CallOptions {
  readonly stream?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | ReadableStream<Uint8Array<ArrayBuffer>> | null | undefined;
  readonly method?: string;
  readonly target?: string;
  /** What its request's dialect has besides. */
  readonly dialect?: Partial<IncomingBilled["dialect"]["request"]>;
}

/** A request as it came in at the edge. */
export function incoming(
  { client }: Pick<Scene, "client">,
  options: CallOptions = {},
): IncomingBilled & { readonly client: FakeClient } {
  const { stream = false, headers = {}, method = "POST", target = "/v1/messages", dialect = {} } = options;
  const body = options.body === undefined ? JSON.stringify(requestOf({ stream })) : options.body;
  const source = body === null || body instanceof ReadableStream ? body : new Response(body).body!;
  return {
    requestId: "ar-01JGFJJZ000000000000000000",
    request: {
      method,
      headers: new Headers({ "x-api-key": TOKEN, "content-type": "application/json", ...headers }),
      body: source as IncomingBilled["request"]["body"],
    },
    client: new FakeClient(client.signal),
    ownCredentials: [],
    ...{ provider: anthropic, dialect: { ...messages, request: { ...messages.request, ...dialect } } },
    target,
    arrivedAt: performance.now(),
    clientIp: null,
  };
}

export function requestOf({ stream = false, text = "Hi." }: { readonly stream?: boolean; readonly text?: string } = {}) {
  return { model: "claude-asked", max_tokens: 100, stream, messages: [{ role: "user", content: text }] };
}

const MESSAGE = { id: "msg_1", model: "claude-served", usage: usageOf("Hi."), deltas: 3 };
/** What the row must hold of the fakes' message. */
export const USAGE = MESSAGE.usage;

/** The events of a streamed message, one string each. */
export const EVENTS: readonly string[] = messageEvents(MESSAGE);
export const ERROR_EVENT: string = sse("error", { type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
export const BODY: string = JSON.stringify(messageBody(MESSAGE));

/** An answer whose pieces come as they are read. */
export function streamed(pieces: Iterable<string> | AsyncIterable<string>, init: ResponseInit = {}): Response {
  const headers = { "content-type": "text/event-stream", ...init.headers };
  return new Response(source(pieces), { ...init, headers });
}

export function json(body: string, init: ResponseInit = {}): Response {
  const headers = { "content-type": "application/json", "content-length": String(body.length), ...init.headers };
  return new Response(source([body]), { ...init, headers });
}

/** An answer that a test writes as it goes, and that breaks if its call is aborted. */
export class LiveAnswer {
  readonly response: Response;
  #controller!: ReadableByteStreamController;
  /** The proxy has closed the upstream's connection. */
  readonly cancelled: Promise<void>;

  constructor(signal: AbortSignal, init: ResponseInit = { headers: { "content-type": "text/event-stream" } }) {
    const cancelled = Promise.withResolvers<void>();
    this.cancelled = cancelled.promise;
    const body = new ReadableStream({
      type: "bytes",
      start: (controller) => void (this.#controller = controller),
      cancel: () => cancelled.resolve(),
    });
    signal.addEventListener("abort", () => {
      cancelled.resolve();
      this.#controller.error(signal.reason);
    });
    this.response = new Response(body, init);
  }

  write(text: string): void {
    this.#controller.enqueue(new TextEncoder().encode(text));
  }

  end(): void {
    this.#controller.close();
    this.#controller.byobRequest?.respond(0);
  }

  break(): void {
    this.#controller.error(new Error("connection reset"));
  }
}

function source(pieces: Iterable<string> | AsyncIterable<string>): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  const iterator = Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]();
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const { value, done } = await iterator.next();
      if (!done) return controller.enqueue(encoder.encode(value));
      controller.close();
      controller.byobRequest?.respond(0);
    },
  });
}

/** What a client gets of an answer: its text, and whether the connection broke. */
export async function received(answer: Response): Promise<{ readonly text: string; readonly isBroken: boolean }> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of answer.body ?? []) text += decoder.decode(chunk, { stream: true });
    return { text, isBroken: false };
  } catch {
    return { text, isBroken: true };
  }
}

/** For `assert.rejects`: a refusal with that code. */
export function refusal(code: FaultCode): (error: unknown) => boolean {
  return (error) => error instanceof Fault && error.code === code;
}
