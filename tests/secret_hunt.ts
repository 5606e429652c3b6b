/** A proxy with log level trace whose secrets are looked for in everything that comes out of it. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { cursorText } from "../src/http/cursor.ts";
import { type FakeAgentserver, startFakeAgentserver } from "./fake_agentserver.ts";
import { type OtlpReceiver, startOtlpReceiver } from "./otlp_receiver.ts";
import { OPERATOR_KEY, type ProxyUnderTest, startProxy } from "./proxy_under_test.ts";
import { type RawAnswer, rawCall, rawRequest } from "./raw_http.ts";

export type CredentialSetting = "ANTHROPIC_API_KEY" | "ANTHROPIC_AUTH_TOKEN";
export type TokenKind = "local" | "agentserver";

export interface HuntOptions {
  readonly credential: CredentialSetting;
  readonly tokenKind: TokenKind;
}

/** One request, as it is written. */
export interface Shown {
  readonly method?: string;
  readonly target?: string;
  /** Header lines besides Host, anthropic-version and the body's. */
  readonly lines: readonly string[];
  readonly body?: string;
  /** What the body claims to be instead of what it is. */
  readonly contentLength?: number;
}

const DEFAULT_BODY = bodyOf({});
/** A credential's header at the upstream, by the setting that it comes from. */
const CREDENTIAL_AT_UPSTREAM: Readonly<Record<CredentialSetting, readonly [header: string, value: string]>> = {
  ANTHROPIC_API_KEY: ["x-api-key", OPERATOR_KEY],
  ANTHROPIC_AUTH_TOKEN: ["authorization", `Bearer ${OPERATOR_KEY}`],
};
/** The place before the first call of the embedded database. */
const BEFORE_ALL_CALLS = cursorText({ after: ["sqlite", "0"], asOf: 0 }, JSON.stringify(["calls", null, null, null]));
const ADMIN_QUESTIONS = [
  `/internal/calls?limit=1000&after=${BEFORE_ALL_CALLS}`,
  "/internal/usage",
  "/internal/traces",
  "/internal/refusals",
  "/internal/tokens",
  "/internal/audit",
  "/metrics",
];

export function bodyOf(over: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ model: "claude-haiku-4-5", max_tokens: 64, messages: [{ role: "user", content: "hello" }], ...over });
}

export class SecretHunt implements AsyncDisposable {
  readonly proxy: ProxyUnderTest;
  readonly control: FakeAgentserver;
  readonly receiver: OtlpReceiver;
  /** Of one sandbox, and of another one. */
  readonly token: string;
  readonly otherToken: string;
  readonly #options: HuntOptions;

  constructor(
    found: {
      readonly proxy: ProxyUnderTest;
      readonly control: FakeAgentserver;
      readonly receiver: OtlpReceiver;
      readonly tokens: readonly [string, string];
    },
    options: HuntOptions,
  ) {
    this.proxy = found.proxy;
    this.control = found.control;
    this.receiver = found.receiver;
    [this.token, this.otherToken] = found.tokens;
    this.#options = options;
  }

  /** What neither an answer nor a row nor a line may hold. */
  get #secrets(): readonly string[] {
    return [this.token, this.otherToken, OPERATOR_KEY, this.proxy.adminToken];
  }

  /**
   * Shows it to the proxy and looks through the answer: its head, and its body but where `isEcho`
   * says that the upstream repeats there what it was told.
   */
  async show(
    shown: Shown,
    { status, isEcho = false }: { readonly status: number; readonly isEcho?: boolean },
  ): Promise<RawAnswer> {
    const { method = "POST", target = "/v1/messages", lines, body = method === "GET" ? "" : DEFAULT_BODY } = shown;
    const { url, upstream } = this.proxy;
    const before = upstream.calls.length;
    const own = [`Host: ${new URL(url).host}`, "anthropic-version: 2023-06-01", "content-type: application/json"];
    const length = `content-length: ${shown.contentLength ?? Buffer.byteLength(body)}`;
    const request = rawRequest(`${method} ${target} HTTP/1.1`, {
      lines: [...own, length, ...lines],
      body: shown.contentLength === undefined ? body : "",
    });
    const [answer] = await rawCall(url, request);
    const asked = `${method} ${target}\n${lines.join("\n")}\n${body.slice(0, 300)}`;
    assert.equal(answer?.status, status, `${asked}\n${answer?.text}`);
    const head = JSON.stringify([...answer.headers]);
    this.#assertClean(isEcho ? head : `${answer.text}${answer.body}${head}`, `the answer to ${asked}`);
    for (const call of upstream.calls.slice(before)) this.#assertCall(call, asked);
    return answer;
  }

  /**
   * Looks through everything that was not an answer to a sandbox: logs, files, the admin API, what
   * the control plane and the receiver of telemetry saw.
   */
  async search(): Promise<void> {
    const { proxy, control } = this;
    this.searchLogs();
    await this.searchFiles();
    for (const path of [...ADMIN_QUESTIONS, ...await tracePaths(proxy)]) {
      const answer = await fetch(proxy.adminUrl + path, { headers: { authorization: `Bearer ${proxy.adminToken}` } });
      this.#assertClean(JSON.stringify([...answer.headers]) + await answer.text(), path);
      assert.equal(answer.status, 200, path);
    }
    for (const { path, headers } of control.lookUps) {
      this.#assertClean(JSON.stringify([path, ...headers]), "what the control plane saw besides the body");
    }
    await this.searchTelemetry();
  }

  /** All calls so far are spans, and the metrics of some have been sent. */
  async searchTelemetry(): Promise<void> {
    const ended = this.proxy.logs.filter((line) => line.includes('"msg":"call ended"'));
    await this.receiver.waitForSpans(ended.length);
    for (const { signal, headers, text } of this.receiver.requests) this.#assertClean(`${[...headers]}${text}`, signal);
  }

  searchLogs(): void {
    assert.notEqual(this.proxy.logs.length, 0);
    this.#assertClean(this.proxy.logs.join(""), "the log");
  }

  /** The file that keeps the admin token is passed over. */
  async searchFiles(): Promise<void> {
    const names = [...Deno.readDirSync(this.proxy.dataDir)].map((entry) => entry.name);
    assert.ok(names.includes("llmproxy.db") && names.includes("spool-0.db") && names.includes("admin-token"), String(names));
    for (const name of names.filter((name) => name !== "admin-token")) {
      const bytes = await Deno.readFile(`${this.proxy.dataDir}/${name}`);
      this.#assertClean(Buffer.from(bytes).toString("latin1"), name);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The second call to stop, which comes with the disposal, does not wait for the drain.
    void this.proxy.running.stop();
    await this.proxy[Symbol.asyncDispose]();
    await this.control[Symbol.asyncDispose]();
    await this.receiver[Symbol.asyncDispose]();
  }

  /**
   * The body is the client's own and passes. The operator's credential stands only in
   * its header.
   */
  #assertCall(call: ProxyUnderTest["upstream"]["calls"][number], asked: string): void {
    const [name, value] = CREDENTIAL_AT_UPSTREAM[this.#options.credential];
    const held = call.rawHeaders.filter(([header]) => ["x-api-key", "authorization"].includes(header.toLowerCase()));
    assert.deepEqual(held.map(([header, value]) => [header.toLowerCase(), value]), [[name, value]], asked);
    const others = call.rawHeaders.filter((header) => !held.includes(header));
    this.#assertClean(JSON.stringify([call.method, call.target, ...others]), `what the upstream saw of ${asked}`);
  }

  #assertClean(text: string, where: string): void {
    const folded = text.toLowerCase();
    for (const secret of this.#secrets) {
      const found = spellingsOf(secret).find((spelling) => folded.includes(spelling.toLowerCase()));
      if (found !== undefined) {
        assert.fail(`${where} holds a secret, spelled ${found}: ${around(text, folded.indexOf(found.toLowerCase()))}`);
      }
    }
  }
}

export async function startHunt(options: HuntOptions): Promise<SecretHunt> {
  const control = startFakeAgentserver();
  const receiver = startOtlpReceiver();
  const proxy = await startProxy({
    env: {
      ANTHROPIC_API_KEY: "",
      [options.credential]: OPERATOR_KEY,
      LLMPROXY_ADMIN_TOKEN: "",
      LLMPROXY_LOG_LEVEL: "trace",
      LLMPROXY_AGENTSERVER_URL: control.url,
      LLMPROXY_DRAIN_LEAD_SECONDS: "60",
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_BSP_SCHEDULE_DELAY: "100",
      OTEL_METRIC_EXPORT_INTERVAL: "1000",
    },
  });
  const made = ["s1", "s2"].map((sandboxId) =>
    options.tokenKind === "local" ? proxy.token("w1", sandboxId) : issued(control, sandboxId)
  );
  const [token, otherToken] = await Promise.all(made);
  return new SecretHunt({ proxy, control, receiver, tokens: [token!, otherToken!] }, options);
}

/** With characters that URLs and JSON spell otherwise. */
function issued(control: FakeAgentserver, sandboxId: string): string {
  const token = `Agt/${sandboxId}+"${crypto.randomUUID()}\\${crypto.randomUUID()}==`;
  control.sandboxes.set(token, { sandbox_id: sandboxId, workspace_id: "w1", status: "running" });
  return token;
}

/** Whole and cut in half, as it is and as other formats write it. */
function spellingsOf(secret: string): readonly string[] {
  const middle = secret.length >> 1;
  const parts = [secret, secret.slice(0, middle), secret.slice(middle)].filter((part) => part.length >= 12);
  return parts.flatMap((part) => [
    part,
    encodeURIComponent(part),
    JSON.stringify(part).slice(1, -1),
    Buffer.from(part).toString("hex"),
    // Except its last group, which depends on what follows.
    Buffer.from(part).toString("base64").replace(/.{4}$/, ""),
  ]);
}

async function tracePaths(proxy: ProxyUnderTest): Promise<readonly string[]> {
  const { traces } = await proxy.ask("/internal/traces?limit=1000") as { traces: readonly { readonly id: string }[] };
  return traces.slice(0, 20).map(({ id }) => `/internal/traces/${encodeURIComponent(id)}`);
}

function around(text: string, at: number): string {
  return text.slice(Math.max(0, at - 200), at + 200);
}
