/** Calls of exactly ten cents, for tests of limits. */
import { json, type SeenCall } from "./fake_answers.ts";

/** What each call costs, and reserves with `LLMPROXY_RESERVE=max`: its prompt is free. */
export const CALL_USD = 0.1;
export const OUTPUT_TOKENS = 1_000;

const PRICES = {
  models: {
    "house-model": [{
      from: "2026-01-01",
      fastPercent: null,
      tiers: [{ promptFrom: 0, input: "0", write5m: "0", write1h: "0", read: "0", output: "100" }],
    }],
  },
};

/** The settings of a proxy that prices and reserves so. */
export async function tenCentEnv(): Promise<Record<string, string>> {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(file, JSON.stringify(PRICES));
  return { LLMPROXY_PRICES_FILE: file, LLMPROXY_RESERVE: "max" };
}

export function tenCentAnswer({ messageId }: Pick<SeenCall, "messageId">, outputTokens = OUTPUT_TOKENS) {
  return json({
    ...{ id: messageId, type: "message", role: "assistant", model: "house-model", content: [{ type: "text", text: "hi" }] },
    ...{ stop_reason: "end_turn", stop_sequence: null },
    usage: { input_tokens: 5, output_tokens: outputTokens, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
  });
}

export interface LimitedAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly error: { readonly type: string; readonly message: string } | null;
}

export async function limitedCall(
  url: string,
  token: string,
  { trace = "at-limits", headers = {}, model = "house-model", maxTokens = OUTPUT_TOKENS, signal }: {
    readonly trace?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly model?: string;
    readonly maxTokens?: number;
    readonly signal?: AbortSignal;
  } = {},
): Promise<LimitedAnswer> {
  const answer = await fetch(`${url}/v1/messages`, {
    method: "POST",
    headers: { "x-api-key": token, "content-type": "application/json", "x-trace-id": trace, ...headers },
    body: JSON.stringify({ model, max_tokens: maxTokens, messages: [{ role: "user", content: "hi" }] }),
    ...(signal === undefined ? {} : { signal }),
  });
  const body = await answer.json() as { error?: { type: string; message: string } };
  return { status: answer.status, headers: answer.headers, error: body.error ?? null };
}

export interface Admin {
  readonly adminUrl: string;
  readonly adminToken: string;
}

/** Asks the quotas routes. Throws if the answer is no success. */
export async function quota(admin: Admin, path: string, change?: Readonly<Record<string, unknown>>) {
  const answer = await fetch(`${admin.adminUrl}/internal/quotas${path}`, {
    method: change === undefined ? "GET" : "PUT",
    headers: { authorization: `Bearer ${admin.adminToken}`, "content-type": "application/json" },
    ...(change === undefined ? {} : { body: JSON.stringify(change) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status} ${text}`);
  // deno-lint-ignore no-explicit-any -- tests look into it
  return JSON.parse(text) as any;
}
