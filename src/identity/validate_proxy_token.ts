import { z } from "zod";
import type { SandboxInfo } from "../domain/sandbox.ts";

/** The most that is read of an answer, in bytes. */
const MAX_ANSWER_BYTES = 64 * 1024;

const SANDBOX_INFO = z.object({
  sandbox_id: z.string().min(1).max(256),
  workspace_id: z.string().min(1).max(256),
  status: z.string().min(1).max(256),
});

/**
 * Asks the control plane whose token this is: `POST {url}/internal/validate-proxy-token` with `{"proxy_token": …}`.
 * Resolves to its `SandboxInfo`, or null where it answers 401 or 404 and so knows no such token.
 * Rejects with `Unanswered` for every other answer, and as `fetch` does where none comes; neither holds the token.
 */
export async function validateProxyToken(
  token: string,
  { url, fetch, signal }: {
    readonly url: string;
    readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
    readonly signal: AbortSignal;
  },
): Promise<SandboxInfo | null> {
  const answer = await fetch(endpoint(url), {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ proxy_token: token }),
    redirect: "manual",
    signal,
  });
  if (answer.status !== 200) {
    await answer.body?.cancel();
    if (answer.status === 401 || answer.status === 404) return null;
    throw new Unanswered(`the control plane answered with status ${answer.status}`);
  }
  return sandboxInfo(await text(answer));
}

/** The control plane answered, but not what was asked. What it said is not kept: it may repeat the token. */
export class Unanswered extends Error {
  override readonly name = "Unanswered";
}

function endpoint(url: string): string {
  return `${url.replace(/\/+$/, "")}/internal/validate-proxy-token`;
}

async function text(answer: Response): Promise<string> {
  const decoder = new TextDecoder();
  let read = 0;
  let text = "";
  for await (const chunk of answer.body ?? []) {
    read += chunk.length;
    if (read > MAX_ANSWER_BYTES) throw new Unanswered(`the control plane's answer is longer than ${MAX_ANSWER_BYTES} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function sandboxInfo(text: string): SandboxInfo {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Unanswered("the control plane's answer is not JSON");
  }
  const parsed = SANDBOX_INFO.safeParse(json);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => issue.path.join(".") || "the whole").join(", ");
  throw new Unanswered(`the control plane's answer is not a SandboxInfo: see ${fields}`);
}
