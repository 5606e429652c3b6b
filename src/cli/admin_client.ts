import { z } from "zod";
import type { ImportRows } from "../domain/imported_rows.ts";
import type { TokenAdmin } from "../domain/tokens.ts";
import type { ClientConfig } from "../config/config.ts";
import { ADMIN_TOKEN_FILE } from "../server/admin_token.ts";
import { type CliSystem, CommandFailure } from "./system.ts";
import type { Address } from "../config/settings.ts";

/** What only a running proxy does. */
export interface AdminClient extends TokenAdmin {
  /** Resolves to how many rows are queued to be shipped once more. */
  readonly reship: (since: number) => Promise<number>;
  /** What is answered line by line (NDJSON), each as soon as it comes. */
  readonly lines: (method: string, path: string) => AsyncGenerator<unknown, void>;
  readonly importRows: ImportRows;
  /** Resolves to an answer whose body is still to come. */
  readonly download: (method: "GET" | "POST", path: string) => Promise<Response>;
}

/** A database that does not answer is given up by the proxy after some 35 s, with a reason: that is worth waiting for. */
const TIMEOUT_MS = 40_000;
/** A spool of millions of rows is queued in short transactions. */
const RESHIP_TIMEOUT_MS = 600_000;
/** What tells of its progress may take as long as there is some. */
const LINES_TIMEOUT_MS = 86_400_000;
const NDJSON = "application/x-ndjson";
/** A batch waits for its turn behind queries. */
const IMPORT_TIMEOUT_MS = 60_000;
/** For the first bytes of an export or a backup: rows are counted, the whole database is copied. */
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
const refusalShape = z.object({ error: z.object({ message: z.string() }) });

/** The running proxy's admin API. */
export function adminClient(config: ClientConfig, system: Pick<CliSystem, "fetch" | "readFile">): AdminClient {
  const base = adminUrlOf(config);
  const { token, from } = adminTokenOf(config, system);

  async function ask(
    method: string,
    path: string,
    { body, accept, timeoutMs = TIMEOUT_MS }: { readonly body?: unknown; readonly accept?: string; readonly timeoutMs?: number } =
      {},
  ): Promise<Response> {
    const answer = await system.fetch(`${base}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(accept === undefined ? {} : { accept }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((cause) => {
      if (cause instanceof Error && cause.name === "TimeoutError") {
        const words = `The proxy's admin listener at ${base} has not answered within ${timeoutMs / 1000} s; its log may say why`;
        throw new CommandFailure(words, { cause });
      }
      throw new CommandFailure(
        `Cannot reach the proxy's admin listener at ${base}: is it running? Start it with "llmproxy serve", ` +
          `or add --offline to work on the data directory of a proxy that does not run`,
        { cause },
      );
    });
    if (answer.status !== 401) return answer;
    await answer.body?.cancel();
    throw new CommandFailure(
      `The proxy at ${base} refuses the admin token, which was taken from ${from}: ` +
        `it has to be the proxy's own LLMPROXY_ADMIN_TOKEN, or the ${ADMIN_TOKEN_FILE} of its data directory (LLMPROXY_DATA_DIR)`,
    );
  }

  return {
    async create({ workspaceId, sandboxId, expiresAt }) {
      const expiry = expiresAt === null ? {} : { expiresAt: new Date(expiresAt).toISOString() };
      const answer = await ask("POST", "/internal/tokens", { body: { workspaceId, sandboxId, ...expiry } });
      const { token, ...kept } = await readAnswer(answer, createdShape);
      return { token, kept };
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
    async download(method, path) {
      const answer = await ask(method, path, { timeoutMs: DOWNLOAD_TIMEOUT_MS });
      return answer.ok ? answer : await readAnswer(answer, z.never());
    },
    async importRows({ traces, usage }) {
      const iso = (at: number) => new Date(at).toISOString();
      const body = {
        traces: traces.map((trace) => ({ ...trace, createdAt: iso(trace.createdAt), updatedAt: iso(trace.updatedAt) })),
        usage: usage.map((row) => ({ ...row, createdAt: iso(row.createdAt) })),
      };
      return await readAnswer(await ask("POST", "/internal/import", { body, timeoutMs: IMPORT_TIMEOUT_MS }), takenInShape);
    },
    async reship(since) {
      const path = `/internal/reship?since=${encodeURIComponent(new Date(since).toISOString())}`;
      return (await readAnswer(await ask("POST", path, { timeoutMs: RESHIP_TIMEOUT_MS }), queuedShape)).queued;
    },
    async *lines(method, path) {
      const answer = await ask(method, path, { accept: NDJSON, timeoutMs: LINES_TIMEOUT_MS });
      if (!answer.ok || answer.body === null) await readAnswer(answer, z.never());
      yield* linesOf(answer.body!);
    },
  };
}

/** The URL at which this machine reaches a listener, without a slash at its end. */
export function localUrlOf({ hostname, port }: Address): string {
  const reachable = hostname === "0.0.0.0" ? "127.0.0.1" : hostname === "::" ? "::1" : hostname;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
}

function adminUrlOf({ proxyAddress, admin }: ClientConfig): string {
  const address = admin.address === "same" ? proxyAddress : admin.address;
  if (address.port === 0) throw new CommandFailure("Cannot find the admin listener: its port is 0, chosen anew at each start");
  return localUrlOf(address);
}

function adminTokenOf(
  { admin, dataDir }: ClientConfig,
  { readFile }: Pick<CliSystem, "readFile">,
): { readonly token: string; readonly from: string } {
  if (admin.token !== null) return { token: admin.token, from: "LLMPROXY_ADMIN_TOKEN" };
  const path = `${dataDir}/${ADMIN_TOKEN_FILE}`;
  try {
    return { token: readFile(path).trim(), from: path };
  } catch (cause) {
    throw new CommandFailure(
      `Cannot find the admin token: LLMPROXY_ADMIN_TOKEN is not set, and ${path} cannot be read. ` +
        `Set it, or LLMPROXY_DATA_DIR to the proxy's data directory, and run as a user who may read that`,
      { cause },
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

async function readAnswer<T>(answer: Response, shape: z.ZodType<T>): Promise<T> {
  const body: unknown = await answer.json().catch(() => null);
  const read = shape.safeParse(body);
  if (answer.ok && read.success) return read.data;
  const refusal = refusalShape.safeParse(body);
  throw new CommandFailure(
    refusal.success
      ? `The proxy says no (${answer.status}): ${refusal.data.error.message}`
      : `Cannot understand the answer (${answer.status}): is it llmproxy's admin listener that answers there?`,
  );
}
