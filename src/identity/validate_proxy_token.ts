import { z } from "zod";
import type { SandboxInfo } from "../domain/sandbox.ts";

const MAX_ANSWER_BYTES = 64 * 1024;

const SANDBOX_INFO = z.object({
  sandbox_id: z.string().min(1).max(256),
  workspace_id: z.string().min(1).max(256),
  status: z.string().min(1).max(256),
});

const ROUTE = "validate-proxy-token";

/**
 * Words for an unknown token: `invalid token`, `token_not_found`, `unknown proxy token`. A server
 * without the route may repeat its path; a path has a slash, which these words do not.
 */
const NO_SUCH =
  /^[^/%]*?(?:\b|_)(?:no such|not found|unknown|invalid|unrecogni[sz]ed|revoked|expired|bad)[ _-]+(?:the )?(?:proxy[ _-]?)?token[^/%]*$|^[^/%]*?(?:proxy[ _-]?)?token[ _-]+(?:is |was |has been )?(?:not[ _-](?:found|known|valid)|unknown|invalid|unrecogni[sz]ed|revoked|expired|does not exist)[^/%]*$/i;
const MAX_WORDS = 200;

/**
 * Asks the control plane for the sandbox of a token, by `POST {url}/internal/validate-proxy-token`
 * with `{"proxy_token": …}`. Resolves to null if it knows no such token.
 *
 * An ingress without a back end or a login gate may answer too. So only these mean an unknown
 * token:
 * - 401, unless it asks for credentials (`www-authenticate`) or is a page for people (HTML);
 * - 404 in JSON whose `error` says so, such as `{"error": "unknown token"}`.
 *
 * Rejects with `Unanswered` for other answers, and as `fetch` does. No error holds the token.
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
  switch (answer.status) {
    case 200:
      return sandboxInfo(await text(answer));
    case 401: {
      const isChallenge = answer.headers.has("www-authenticate");
      if (!isPage(answer.headers, await text(answer)) && !isChallenge) return null;
      throw new Unanswered("something in front of the control plane asks for a login (status 401)");
    }
    case 404:
      if (namesToken(await text(answer))) return null;
      throw new Unanswered(
        "status 404, but no JSON whose error says that there is no such token: is LLMPROXY_AGENTSERVER_URL right, and is it up?",
      );
    default:
      await answer.body?.cancel();
      throw new Unanswered(`the control plane answered with status ${answer.status}`);
  }
}

/**
 * The control plane did not answer the question. Its words are dropped: they may repeat the token.
 */
export class Unanswered extends Error {
  override readonly name = "Unanswered";
}

function isPage(headers: Headers, text: string): boolean {
  return /\bx?html\b/i.test(headers.get("content-type") ?? "") || /^\s*</.test(text);
}

/**
 * Only in `error`, a text or an object with `message` or `code`: servers repeat routes elsewhere.
 */
function namesToken(text: string): boolean {
  const parsed = NO_SUCH_TOKEN.safeParse(jsonOf(text));
  if (!parsed.success) return false;
  const { error } = parsed.data;
  const said = typeof error === "string" ? error : `${error.code ?? ""} ${error.message ?? ""}`;
  return said.length <= MAX_WORDS && NO_SUCH.test(said);
}

const NO_SUCH_TOKEN = z.object({
  error: z.union([z.string(), z.object({ message: z.string().optional(), code: z.string().optional() })]),
});

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function endpoint(url: string): string {
  return `${url.replace(/\/+$/, "")}/internal/${ROUTE}`;
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
  const json = jsonOf(text);
  if (json === undefined) throw new Unanswered("the control plane's answer is not JSON");
  const parsed = SANDBOX_INFO.safeParse(json);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => issue.path.join(".") || "the whole").join(", ");
  throw new Unanswered(`the control plane's answer is not a SandboxInfo: see ${fields}`);
}
