/** The proxy's handler behind a real server, on a record of fakes: no files, no upstream. */
import { createServer, request, type RequestListener, type RequestOptions } from "node:http";
import type { AddressInfo } from "node:net";
import type { Deps } from "../src/call/deps.ts";
import { Refusals } from "../src/call/refusals.ts";
import { Stops } from "../src/call/stops.ts";
import { Traffic } from "../src/call/traffic.ts";
import { Fault } from "../src/domain/fault.ts";
import { NO_ESTIMATES, NO_LIMITS, NO_LOOPS } from "../src/domain/limits.ts";
import type { RefusedRequest } from "../src/domain/observe.ts";
import { NO_BATCHES } from "../src/domain/owned.ts";
import { proxyHandler } from "../src/http/proxy.ts";
import { ByteBudget } from "../src/wire/budget.ts";
import { CLIENTS } from "./anthropic.ts";
import { oneUpstream } from "./fake_upstreams.ts";

export const TOKEN = "tok-of-a-sandbox-0123456789";
export const SANDBOX = { sandboxId: "s1", workspaceId: "w1", tokenId: null };
const MESSAGE = { id: "msg_1", type: "message", model: "m", usage: { input_tokens: 1, output_tokens: 1 } };

export interface FakeProxy {
  /** Answers with the path as it stands: fetch would tidy it up. */
  readonly ask: (method: string, path: string, more?: RequestInit) => Promise<Response>;
  /** Calls that went upstream, as `POST /path`. */
  readonly sent: string[];
  /** What happened to rows, claims and passed calls, in order. */
  readonly log: string[];
  readonly refused: { readonly requestId: string; readonly fault: Fault; readonly request: RefusedRequest }[];
  /** Refusals by sandbox and fault that would be flushed. */
  readonly counted: () => Promise<readonly string[]>;
  readonly deps: Deps;
}

export function fakeProxy(over: Partial<Deps> = {}, allowedPaths: readonly string[] = []): FakeProxy {
  const [sent, log]: [string[], string[]] = [[], []];
  const refused: FakeProxy["refused"] = [];
  const traffic = new Traffic();
  let ids = 0;
  const deps: Deps = {
    clients: CLIENTS,
    sandboxOf: (token) =>
      token === TOKEN ? Promise.resolve(SANDBOX) : Promise.reject(new Fault("unauthenticated", "invalid proxy token")),
    priceOf: () => ({ isPriced: true, nanoDollars: 1, version: "v", unpricedUses: {}, isCertain: true }),
    ledger: {
      open: (call: { readonly id: string }) => Promise.resolve(void log.push(`opened ${call.id}`)).then(() => "opened"),
      close: (call: { readonly id: string }) => Promise.resolve(void log.push(`closed ${call.id}`)),
      join: () => Promise.resolve(void log.push("joined")),
      trouble: () => null,
    } as unknown as Deps["ledger"],
    owners: {
      claim: (owned) => Promise.resolve(void log.push(...owned.map(({ kind, id }) => `claimed ${kind} ${id}`))),
      ownersOf: (ids) =>
        Promise.resolve(
          new Map(
            ids.map((
              id,
            ) => [id, { kind: "file", workspaceId: id === "file_own" ? "w1" : "w2", credentialId: null, traceId: null }]),
          ),
        ),
    },
    sessions: { infers: false } as Deps["sessions"],
    batches: NO_BATCHES,
    observe: {
      refused: (requestId, fault, request) => void refused.push({ requestId, fault, request }),
      passed: (_id, route) => void log.push(`passed ${route}`),
      callBegan: () => null,
      callEnded: () => {},
      note: () => {},
    } as Partial<Deps["observe"]> as Deps["observe"],
    refusals: new Refusals("run-1"),
    traffic,
    stops: new Stops(traffic),
    fetch: (url, init) => {
      sent.push(`${init.method} ${url.slice("https://upstream.test".length)}`);
      return Promise.resolve(
        new Response(byteStreamOf(JSON.stringify(MESSAGE)), { headers: { "content-type": "application/json" } }),
      );
    },
    now: () => Date.UTC(2026, 0, 1),
    elapsed: () => performance.now(),
    newId: () => String(++ids),
    instanceId: "run-1",
    upstreams: oneUpstream(),
    budget: new ByteBudget({ totalBytes: 1 << 24, perHolderBytes: 1 << 24 }),
    bodyDeadlineMs: 60_000,
    limits: NO_LIMITS,
    estimates: NO_ESTIMATES,
    loops: NO_LOOPS,
    unpriced: "refuse",
    brokenStream: "reset",
    traceHeader: "x-trace-id",
    clientIpHeader: null,
    ...over,
  };
  const { handle } = proxyHandler({
    ...{ deps, dialects: deps.upstreams.dialects(), allowedPaths, stallMs: 60_000 },
    readiness: () => ({ status: "ok", reason: null }),
  });
  return {
    sent,
    log,
    refused,
    deps,
    ask: async (method, path, more = {}) => {
      const headers = { "x-api-key": TOKEN, ...more.headers as Readonly<Record<string, string>> };
      const body = more.body ?? (method === "POST" ? "{}" : undefined);
      await using server = await served((incoming, outgoing) => handle(incoming, outgoing, false));
      return await asked({ port: server.port, method, path, headers, body: body as string | undefined });
    },
    counted: async () => {
      const counts: string[] = [];
      await deps.refusals.flush(
        {
          countRefusals: (runs: readonly { readonly sandboxId: string; readonly fault: string; readonly count: number }[]) =>
            Promise.resolve(void counts.push(...runs.map(({ sandboxId, fault, count }) => `${sandboxId} ${fault} ${count}`))),
        } as unknown as Deps["ledger"],
      );
      return counts;
    },
  };
}

/** As fetch gives bodies; the tap reads them by buffers of its own. */
function byteStreamOf(text: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    type: "bytes",
    start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
      controller.close();
    },
    pull: (controller) => controller.byobRequest?.respond(0),
  });
}

async function served(handler: RequestListener): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer({ requireHostHeader: false }, handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

function asked(
  { body, ...options }: RequestOptions & { readonly port: number; readonly body: string | undefined },
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", agent: false, ...options }, async (answer) => {
      const chunks: Uint8Array<ArrayBuffer>[] = [];
      for await (const chunk of answer) chunks.push(chunk);
      const headers = new Headers(answer.headers as Record<string, string>);
      resolve(
        new Response(options.method === "HEAD" ? null : await new Blob(chunks).text(), { status: answer.statusCode!, headers }),
      );
    });
    sent.once("error", reject);
    sent.end(body);
  });
}
