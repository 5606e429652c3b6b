/** A control plane on loopback that answers what a test tells it to and counts who asks. */
import { createHash } from "node:crypto";
import type { SandboxInfo } from "../src/domain/sandbox.ts";
import { type Gate, gate } from "./wait.ts";

/**
 * How a lookup is answered. `truth` says what `FakeAgentserver.sandboxes` knows (401 where
 * nothing), `status` any status with an empty body, `body` a 200 with those bytes, `answer`
 * whatever it says, `redirect` a 302 to that address (where a GET finds the first sandbox), `reset`
 * an answer that breaks off.
 */
export type AgentserverScript =
  | { readonly kind: "truth" }
  | { readonly kind: "status"; readonly status: number }
  | { readonly kind: "body"; readonly body: string }
  | {
    readonly kind: "answer";
    readonly status: number;
    readonly body: string;
    readonly headers?: Readonly<Record<string, string>>;
  }
  | { readonly kind: "redirect"; readonly location: string }
  | { readonly kind: "reset" };

export interface LookUp {
  readonly method: string;
  readonly path: string;
  readonly tokenHash: string;
  readonly body: unknown;
  readonly headers: Headers;
}

export interface FakeAgentserver extends AsyncDisposable {
  /** Base URL, which stays the same when it goes away and comes back. */
  readonly url: string;
  /** What it knows, by token. */
  readonly sandboxes: Map<string, SandboxInfo>;
  readonly lookUps: readonly LookUp[];
  lookUpsOf(token: string): number;
  answer(script: AgentserverScript): void;
  /** Lookups are taken in. They are answered once the returned function is called. */
  hold(): () => void;
  /** Nothing listens any more: connections are refused. */
  goAway(): Promise<void>;
  comeBack(): void;
}

export function startFakeAgentserver(): FakeAgentserver {
  const sandboxes = new Map<string, SandboxInfo>();
  const lookUps: LookUp[] = [];
  let script: AgentserverScript = { kind: "truth" };
  let held: Gate | null = null;

  async function handler(request: Request): Promise<Response> {
    if (request.method === "GET") return Response.json([...sandboxes.values()][0]);
    const body = await request.json();
    const token = String(body.proxy_token);
    const { pathname } = new URL(request.url);
    lookUps.push({ method: request.method, path: pathname, tokenHash: sha256(token), body, headers: request.headers });
    await held?.passed;
    if (!pathname.endsWith("/internal/validate-proxy-token")) return new Response("no such route", { status: 400 });
    return answerTo(token, { script, sandboxes });
  }

  let server = listen(0, handler);
  const { port } = server.addr;
  return {
    url: `http://127.0.0.1:${port}`,
    sandboxes,
    lookUps,
    lookUpsOf: (token) => lookUps.filter((lookUp) => lookUp.tokenHash === sha256(token)).length,
    answer: (next) => void (script = next),
    hold: () => {
      const opened = gate();
      held = opened;
      return () => {
        held = null;
        opened.open();
      };
    },
    goAway: () => server.shutdown(),
    comeBack: () => void (server = listen(port, handler)),
    [Symbol.asyncDispose]: () => {
      held?.open();
      return server.shutdown();
    },
  };
}

function listen(port: number, handler: (request: Request) => Promise<Response>): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ port, hostname: "127.0.0.1", onListen: () => {} }, handler);
}

function answerTo(
  token: string,
  { script, sandboxes }: { readonly script: AgentserverScript; readonly sandboxes: Map<string, SandboxInfo> },
): Response {
  switch (script.kind) {
    case "truth": {
      const info = sandboxes.get(token);
      return info === undefined ? new Response(`unknown: ${token}`, { status: 401 }) : Response.json(info);
    }
    case "status":
      return new Response(null, { status: script.status });
    case "body":
      return new Response(script.body);
    case "answer":
      return new Response(script.body, { status: script.status, headers: script.headers ?? {} });
    case "redirect":
      return new Response(null, { status: 302, headers: { location: script.location } });
    case "reset":
      return new Response(new ReadableStream({ pull: (controller) => controller.error(new Error("broken on purpose")) }));
  }
}

function sha256(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
