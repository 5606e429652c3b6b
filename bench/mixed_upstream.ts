/**
 * The upstream of the mixed load, a process of its own. It answers as `LOAD_HEADER` asks, resets
 * connections as `FAULT_HEADER` asks, and tells at `/seen` which calls came, and how often.
 *
 * deno run -A bench/mixed_upstream.ts PORT
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { NUMBER_HEADER } from "../tests/chaos/calls.ts";
import { type Ask, askOf, askText, LOAD_HEADER, type Script, scriptOf } from "./answers.ts";
import { FAULT_HEADER } from "./mixed_calls.ts";

/** Longer than a relay keeps an idle connection, so that only the relay closes one. */
const KEEP_ALIVE_MS = 600_000;
const WRITE_BYTES = 64 * 1024;

const scripts = new Map<string, Script>();
const seen = new Map<number, number>();

function scriptFor(ask: Ask): Script {
  const key = askText(ask);
  const script = scripts.get(key) ?? scriptOf(ask);
  scripts.set(key, script);
  return script;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const number = Number(request.headers[NUMBER_HEADER]);
  seen.set(number, (seen.get(number) ?? 0) + 1);
  const [fault, share] = String(request.headers[FAULT_HEADER] ?? "none").split(" ");
  if (fault === "early") return reset(response);
  for await (const _piece of request);
  if (fault === "head") return reset(response);
  const ask = askOf(String(request.headers[LOAD_HEADER]));
  const script = scriptFor(ask);
  const end = fault === "body" ? Math.floor(script.body.length * Number(share)) : script.body.length;
  const isStreamed = ask.kind !== "unary";
  response.writeHead(200, {
    "request-id": `req_mixed_${number}`,
    "content-type": isStreamed ? "text/event-stream; charset=utf-8" : "application/json",
    ...(isStreamed ? {} : { "content-length": script.body.length }),
  });
  let at = 0;
  for (const to of endsOf(ask, script)) {
    if (at >= end || response.destroyed) break;
    await write(response, script.body.subarray(at, Math.min(to, end)));
    if (ask.kind === "paced") await new Promise((resolve) => setTimeout(resolve, 1000 / ask.perSecond));
    at = to;
  }
  if (fault === "body") return reset(response);
  response.end();
}

/** Where each write ends. */
function endsOf(ask: Ask, { body, events }: Script): readonly number[] {
  if (ask.kind === "stream" || ask.kind === "paced") return events.map(({ end }) => end);
  return Array.from({ length: Math.ceil(body.length / WRITE_BYTES) }, (_, n) => Math.min((n + 1) * WRITE_BYTES, body.length));
}

async function write(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  if (response.write(bytes)) return;
  await new Promise<void>((resolve) => {
    const go = () => {
      response.off("drain", go);
      response.off("close", go);
      resolve();
    };
    response.on("drain", go);
    response.on("close", go);
  });
}

function reset(response: ServerResponse): void {
  response.socket?.resetAndDestroy();
}

const server = createServer({ requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
  if (request.url === "/seen") return response.end(JSON.stringify([...seen]));
  answer(request, response).catch(() => response.destroy());
});
server.listen(Number(Deno.args[0]), "127.0.0.1");
