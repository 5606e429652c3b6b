import { z } from "zod";
import { type ClientConfig, loadClientConfig } from "../config/config.ts";
import type { Address } from "../config/settings.ts";
import type { ImportRows } from "../domain/imported_rows.ts";
import type { RunningCall } from "../domain/running_call.ts";
import type { Suspension, SuspensionScope } from "../domain/suspensions.ts";
import type { NewToken, TokenAdmin } from "../domain/tokens.ts";
import { ACCURACIES } from "../domain/usage.ts";
import { auditShape } from "../http/answer_shapes.ts";
import { ACTOR_HEADER } from "../http/audit.ts";
import { ADMIN_TOKEN_FILE } from "../server/admin_token.ts";
import { parseExact } from "./exact_json.ts";
import { EXIT } from "./exit_codes.ts";
import { type CliSystem, CommandFailure, isoOf, userOf } from "./system.ts";
import { visible } from "./table.ts";

/** `TokenAdmin` for the user who runs the command. */
export interface OwnTokens extends Pick<TokenAdmin, "list"> {
  readonly create: (wanted: NewToken) => ReturnType<TokenAdmin["create"]>;
  readonly revoke: (id: string) => ReturnType<TokenAdmin["revoke"]>;
}

/** The running proxy's admin API. Every method rejects with words for the operator. */
export interface AdminClient extends OwnTokens {
  /** The answer to a GET, read by the shape; whole numbers beyond 2^53 are bigints. */
  readonly question: <T>(path: string, shape: z.ZodType<T>, options?: QuestionOptions) => Promise<T>;
  readonly suspend: (wanted: Omit<Suspension, "createdAt">) => Promise<Suspension>;
  /** Null if the scope was not suspended. */
  readonly resume: (scope: SuspensionScope) => Promise<Suspension | null>;
  /** Limits of a place, by its path; null if the answer has no body. */
  readonly quota: (
    method: "GET" | "PUT" | "DELETE",
    path: string,
    body?: unknown,
  ) => Promise<z.output<typeof limitsShape> | null>;
  /** The calls in flight that the filters keep. */
  readonly running: (filters: Readonly<Record<string, string | undefined>>) => Promise<readonly RunningCall[]>;
  /** The call as it was when it was cut; null if no call of that id is in flight there. */
  readonly cut: (id: string) => Promise<RunningCall | null>;
  /** Resolves to the number of rows queued to be shipped again. */
  readonly reship: (since: number) => Promise<number>;
  /** An answer line by line (NDJSON), each as soon as it comes. */
  readonly lines: (method: string, path: string) => AsyncGenerator<unknown, void>;
  readonly importRows: ImportRows;
  /** The first page of changes that the query keeps, or the page of its cursor. */
  readonly audit: (query: URLSearchParams) => Promise<z.output<typeof auditShape>>;
  /** Resolves before the body has come. */
  readonly download: (method: "GET" | "POST", path: string) => Promise<Response>;
}

export interface QuestionOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** After about 35 s the proxy gives up a database that does not answer, and tells the reason. */
const TIMEOUT_MS = 40_000;
/** The proxy queues a spool of millions of rows in short transactions. */
const RESHIP_TIMEOUT_MS = 600_000;
/** An answer that reports its progress may take long. */
const LINES_TIMEOUT_MS = 86_400_000;
const NANO_DOLLARS = 1_000_000_000;
const NDJSON = "application/x-ndjson";
/** A batch waits for its turn behind queries. */
const IMPORT_TIMEOUT_MS = 60_000;
/** For the first bytes: an export counts its rows, a backup copies the whole database. */
const DOWNLOAD_TIMEOUT_MS = 3_600_000;

const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));
const tokenShape = z.object({
  id: z.string(),
  workspaceId: z.string(),
  sandboxId: z.string(),
  createdAt: time,
  expiresAt: time.nullable().default(null),
  revokedAt: time.nullable().default(null),
});
const createdShape = tokenShape.extend({ token: z.string() });
const listShape = z.object({ tokens: z.array(tokenShape) });
const queuedShape = z.object({ queued: z.number() });
const takenInShape = z.object({ unpriced: z.number() });
const suspensionShape = z.object({
  workspaceId: z.string(),
  sandboxId: z.string().nullable().default(null),
  createdAt: time,
  reason: z.string().nullable().default(null),
});
const count = z.number().nullable();
const name = z.string().nullable();
const runningShape = z.object({
  ...{ id: z.string(), workspaceId: z.string(), sandboxId: z.string(), traceId: name, route: z.string() },
  ...{ model: name, client: name, provider: z.string(), upstream: z.string() },
  ...{ createdAt: time, ageMs: z.number(), status: count, accuracy: z.enum(ACCURACIES) },
  ...{ inputTokens: count, outputTokens: count, cacheCreationInputTokens: count, cacheReadInputTokens: count, worker: count },
  costUsd: name.transform((usd) => usd === null ? null : Math.round(Number(usd) * NANO_DOLLARS)),
}).transform(({ costUsd: cost, ...call }) => ({ ...call, cost }));
const runningListShape = z.object({ requests: z.array(runningShape) });
const limitShape = z.object({
  kind: z.string(),
  max: z.union([z.number(), z.string()]),
  used: z.union([z.number(), z.string()]).optional(),
  source: z.string(),
  resets_at: z.string().optional(),
});
/** Those of a workspace have more. */
const limitsShape = z.looseObject({ limits: z.array(limitShape) });
const refusalShape = z.object({ error: z.object({ message: z.string() }) });

/** Throws `ConfigProblems`, or `CommandFailure` if the settings do not lead to the admin API. */
export function adminClient({ source, fetch, stderr }: CliSystem): AdminClient {
  const config = loadClientConfig(source);
  const base = adminUrlOf(config);
  const { token, from } = adminTokenOf(config, source.readFile);
  const user = userOf(source);
  if (isUnencrypted(base) && config.adminUrl !== null) {
    stderr("LLMPROXY_ADMIN_URL is not https: the admin token is sent unencrypted\n");
  }

  async function ask(
    method: string,
    path: string,
    { body, accept, timeoutMs = TIMEOUT_MS, signal }: QuestionOptions & { readonly body?: unknown; readonly accept?: string } =
      {},
  ): Promise<Response> {
    const timeout = AbortSignal.timeout(timeoutMs);
    const answer = await fetch(`${base}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(user === null ? {} : { [ACTOR_HEADER]: user }),
        ...(accept === undefined ? {} : { accept }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      redirect: "manual",
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    }, config.caCertificates).catch((cause) => {
      if (signal?.aborted) throw cause;
      if (cause instanceof Error && cause.name === "TimeoutError") {
        const words = `The proxy's admin listener at ${base} has not answered within ${timeoutMs / 1000} s; its log may say why`;
        throw new CommandFailure(words, { cause, exitCode: EXIT.unavailable });
      }
      throw new CommandFailure(unreachable(base, config), { cause, exitCode: EXIT.unavailable });
    });
    if (answer.status !== 401) return answer;
    await answer.body?.cancel();
    throw new CommandFailure(
      `The proxy at ${base} refuses the admin token, which was taken from ${from}: ` +
        `it must be the proxy's own LLMPROXY_ADMIN_TOKEN, or the ${ADMIN_TOKEN_FILE} of its data directory (LLMPROXY_DATA_DIR)`,
      { exitCode: EXIT.misused },
    );
  }

  return {
    question: async (path, shape, options) => await readAnswer(await ask("GET", path, options), shape),
    async create({ workspaceId, sandboxId, expiresAt }) {
      const expiry = expiresAt === null ? {} : { expiresAt: isoOf(expiresAt) };
      const answer = await ask("POST", "/internal/tokens", { body: { workspaceId, sandboxId, ...expiry } });
      const { token, ...record } = await readAnswer(answer, createdShape);
      return { token, record };
    },
    async list(workspaceId) {
      const query = workspaceId === null ? "" : `?workspace_id=${encodeURIComponent(workspaceId)}`;
      return (await readAnswer(await ask("GET", `/internal/tokens${query}`), listShape)).tokens;
    },
    async revoke(id) {
      const answer = await ask("DELETE", `/internal/tokens/${encodeURIComponent(id)}`);
      if (answer.status !== 404) return await readAnswer(answer, tokenShape);
      await answer.body?.cancel();
      return null;
    },
    async quota(method, path, body) {
      const answer = await ask(method, path, body === undefined ? {} : { body });
      return answer.status === 204 ? null : await readAnswer(answer, limitsShape);
    },
    async suspend({ reason, ...scope }) {
      return await readAnswer(await ask("PUT", pathOf(scope), { body: { reason } }), suspensionShape);
    },
    async resume(scope) {
      const answer = await ask("DELETE", pathOf(scope));
      if (answer.status !== 404) return await readAnswer(answer, suspensionShape);
      await answer.body?.cancel();
      return null;
    },
    async running(filters) {
      const given = Object.entries(filters).flatMap(([filter, value]) => value === undefined ? [] : [[filter, value]]);
      return (await readAnswer(await ask("GET", `/internal/requests?${new URLSearchParams(given)}`), runningListShape)).requests;
    },
    async cut(id) {
      const answer = await ask("DELETE", `/internal/requests/${encodeURIComponent(id)}`);
      if (answer.status !== 404) return await readAnswer(answer, runningShape);
      await answer.body?.cancel();
      return null;
    },
    async download(method, path) {
      const answer = await ask(method, path, { timeoutMs: DOWNLOAD_TIMEOUT_MS });
      return answer.ok ? answer : await readAnswer(answer, z.never());
    },
    audit: async (query) => await readAnswer(await ask("GET", `/internal/audit?${query}`), auditShape),
    async importRows({ traces, usage }) {
      const body = {
        traces: traces.map((trace) => ({ ...trace, createdAt: isoOf(trace.createdAt), updatedAt: isoOf(trace.updatedAt) })),
        usage: usage.map((row) => ({ ...row, createdAt: isoOf(row.createdAt) })),
      };
      return await readAnswer(await ask("POST", "/internal/import", { body, timeoutMs: IMPORT_TIMEOUT_MS }), takenInShape);
    },
    async reship(since) {
      const path = `/internal/reship?since=${encodeURIComponent(isoOf(since))}`;
      return (await readAnswer(await ask("POST", path, { timeoutMs: RESHIP_TIMEOUT_MS }), queuedShape)).queued;
    },
    async *lines(method, path) {
      const answer = await ask(method, path, { accept: NDJSON, timeoutMs: LINES_TIMEOUT_MS });
      if (!answer.ok || answer.body === null) await readAnswer(answer, z.never());
      yield* linesOf(answer.body!);
    },
  };
}

function pathOf({ workspaceId, sandboxId }: SuspensionScope): string {
  const workspace = `/internal/suspensions/${encodeURIComponent(workspaceId)}`;
  return sandboxId === null ? workspace : `${workspace}/sandboxes/${encodeURIComponent(sandboxId)}`;
}

/** The URL at which this machine reaches a listener, without a trailing slash. */
export function localUrlOf({ hostname, port }: Address): string {
  const reachable = hostname === "0.0.0.0" ? "127.0.0.1" : hostname === "::" ? "::1" : hostname;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
}

function unreachable(base: string, { adminUrl }: ClientConfig): string {
  const what = `Cannot reach the proxy's admin listener at ${base}: is it running?`;
  return adminUrl === null
    ? `${what} Start it with "llmproxy serve", or set LLMPROXY_ADMIN_URL to another machine's; "llmproxy token" can add ` +
      `--offline to work on the data directory of a proxy that does not run`
    : `${what} That is what LLMPROXY_ADMIN_URL names; LLMPROXY_CA_FILE can name certificates to trust`;
}

/** Whether others on the network can read what is sent there. */
function isUnencrypted(base: string): boolean {
  return base.startsWith("http:") && !isLoopback(base);
}

function isLoopback(base: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(base).hostname);
}

function adminUrlOf({ adminUrl, proxyAddress, admin }: ClientConfig): string {
  if (adminUrl !== null) return adminUrl;
  const address = admin.address === "same" ? proxyAddress : admin.address;
  if (address.port === 0) {
    throw new CommandFailure("Cannot find the admin listener: its port is 0, so every start chooses another", {
      exitCode: EXIT.misused,
    });
  }
  return localUrlOf(address);
}

function adminTokenOf(
  { admin, adminUrl, dataDir }: ClientConfig,
  readFile: (path: string) => string,
): { readonly token: string; readonly from: string } {
  if (admin.token !== null) return { token: admin.token, from: "LLMPROXY_ADMIN_TOKEN" };
  if (adminUrl !== null && !isLoopback(adminUrl)) {
    throw new CommandFailure(
      "Cannot find the admin token: with LLMPROXY_ADMIN_URL of another machine, set LLMPROXY_ADMIN_TOKEN or " +
        "LLMPROXY_ADMIN_TOKEN_FILE. The token in this machine's data directory is not sent there",
      { exitCode: EXIT.misused },
    );
  }
  const path = `${dataDir}/${ADMIN_TOKEN_FILE}`;
  try {
    return { token: readFile(path).trim(), from: path };
  } catch (cause) {
    throw new CommandFailure(
      `Cannot find the admin token: LLMPROXY_ADMIN_TOKEN is not set, and ${path} cannot be read. ` +
        `Set it, or set LLMPROXY_DATA_DIR to the proxy's data directory and run as a user who may read it`,
      { cause, exitCode: EXIT.misused },
    );
  }
}

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown, void> {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line);
  }
}

function jsonOf(text: string): unknown {
  try {
    return parseExact(text);
  } catch {
    return null;
  }
}

async function readAnswer<T>(answer: Response, shape: z.ZodType<T>): Promise<T> {
  const text = await answer.text().catch((cause) => {
    throw new CommandFailure("The proxy's answer broke off", { cause, exitCode: EXIT.unavailable });
  });
  const body = jsonOf(text);
  const read = shape.safeParse(body);
  if (answer.ok && read.success) return read.data;
  const refusal = refusalShape.safeParse(body);
  throw new CommandFailure(
    refusal.success
      ? `The proxy refuses (${answer.status}): ${visible(refusal.data.error.message)}`
      : `Cannot understand the answer (${answer.status}): is it llmproxy's admin listener that answers there?`,
    { exitCode: answer.status === 503 ? EXIT.unavailable : EXIT.failed },
  );
}
