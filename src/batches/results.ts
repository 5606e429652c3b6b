import type { Observe } from "../domain/observe.ts";
import type { BatchDialect, BatchStatus, Credential, Provider } from "../domain/provider.ts";
import type { Upstream } from "../domain/upstream.ts";
import type { Fetch } from "../wire/plain_fetch.ts";
import { decoderOf } from "../wire/decode.ts";
import { LineSplitter } from "../wire/line_splitter.ts";
import { IdleTimeout, UPSTREAM_IDLE } from "../wire/idle_timeout.ts";
import { nextTurn } from "../wire/event_loop_budget.ts";

/** What reading a batch takes from outside. */
export interface BatchSource {
  readonly provider: Provider;
  readonly dialect: BatchDialect;
  readonly fetch: Fetch;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
  readonly upstream: Upstream;
  readonly observe: Observe;
}

/** Silence of the upstream after which a read ends; the batch is read again later. */
const IDLE_MS = 60_000;
/** A line holds one whole answer. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const MAX_STATUS_BYTES = 1024 * 1024;

/** The upstream answered that there is no such batch, or no results of it. */
export class BatchMissing extends Error {}

export interface BatchAsked {
  readonly id: string;
  readonly signal: AbortSignal;
}

/** Rejects with `BatchMissing`, or an error that says what went wrong. */
export async function fetchStatus(asked: BatchAsked, source: BatchSource): Promise<BatchStatus> {
  let text = "";
  await read(asked, { path: source.dialect.pathOf(asked.id), maxBytes: MAX_STATUS_BYTES, source }, (line) => {
    text += line ?? "";
    return Promise.resolve();
  });
  const status = source.dialect.parseStatus(text);
  if (status === null) throw new Error("Cannot read the batch's status: the upstream's answer has none");
  return status;
}

/**
 * Calls `onLine` with each line of the results in order; null for one that is too long. Takes
 * constant memory: it reads no further while `onLine` waits. Asks the configured upstream, never
 * the address that the batch names. Rejects as `fetchStatus` does.
 */
export async function fetchResults(
  { onLine, ...asked }: BatchAsked & { readonly onLine: (line: string | null) => Promise<void> },
  source: BatchSource,
): Promise<void> {
  const path = source.dialect.resultsPathOf(asked.id);
  let isFirst = true;
  await read(asked, { path, maxBytes: Number.MAX_SAFE_INTEGER, source }, (line, { isOpen }) => {
    const trouble = line === null ? null : troubleOf(line, { isFirst, isOpen, source });
    if (trouble !== null) return Promise.reject(new Error(`Cannot read ${path}: ${trouble}`));
    isFirst = false;
    return onLine(line);
  });
}

/**
 * Why a line is not a result, so that no row is made of it; null if it may be one. Under any
 * status, an answer that starts with an error or not with JSON holds no results. A last line that
 * is cut has to be fetched again.
 */
function troubleOf(
  line: string,
  { isFirst, isOpen, source }: { readonly isFirst: boolean; readonly isOpen: boolean; readonly source: BatchSource },
): string | null {
  if (isOpen && !isJson(line)) return "the answer was cut in the middle of a line";
  if (!isFirst) return null;
  if (!line.startsWith("{")) return "the answer holds no results";
  const { errorType } = source.provider.parseNonStreamingResponse(line);
  return errorType === null ? null : `the upstream answers the error ${errorType}`;
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

/** `isOpen`: the answer ended after the line without a line feed. */
type OnLine = (line: string | null, end: { readonly isOpen: boolean }) => Promise<void>;

async function read(
  { id, signal }: BatchAsked,
  { path, maxBytes, source }: { readonly path: string; readonly maxBytes: number; readonly source: BatchSource },
  onLine: OnLine,
): Promise<void> {
  const controller = new AbortController();
  const idle = new IdleTimeout({ ms: IDLE_MS, elapsed: source.elapsed, onIdle: () => controller.abort(UPSTREAM_IDLE) });
  idle.listen();
  try {
    const credential = source.upstream.credential();
    const answer = await source.fetch(source.upstream.baseUrl + path, {
      headers: headersOf(credential, source),
      redirect: "manual",
      signal: AbortSignal.any([signal, controller.signal]),
    });
    if (!answer.ok || answer.body === null) {
      await answer.body?.cancel();
      if (answer.status === 401) source.observe.credentialRefused(id, credential.id);
      if (answer.status === 404) throw new BatchMissing(`The upstream knows no ${path}`);
      throw new Error(`The upstream answers ${answer.status} for ${path}`);
    }
    await eachLine(answer as Response & { readonly body: ReadableStream<Uint8Array<ArrayBuffer>> }, {
      maxBytes,
      idle,
      onLine,
    });
  } finally {
    idle.end();
  }
}

async function eachLine(
  answer: Response & { readonly body: ReadableStream<Uint8Array<ArrayBuffer>> },
  { maxBytes, idle, onLine }: {
    readonly maxBytes: number;
    readonly idle: IdleTimeout;
    readonly onLine: OnLine;
  },
): Promise<void> {
  let waiting: (string | null)[] = [];
  const lines = new LineSplitter({ maxBytes: MAX_LINE_BYTES, onLine: (line) => void waiting.push(line) });
  const decoder = decoderOf(answer.headers.get("content-encoding") ?? "", { maxBytes, onChunk: (chunk) => lines.push(chunk) });
  if (decoder === null) throw new Error("Cannot read the upstream's answer: its content encoding is unknown");

  async function handOn({ isOpen }: { readonly isOpen: boolean }): Promise<void> {
    const [some, none]: [typeof waiting, typeof waiting] = [waiting, []];
    waiting = none;
    idle.heard();
    for (const line of some) await onLine(line, { isOpen });
    // One chunk a turn of the event loop: calls come in between.
    await nextTurn();
    idle.listen();
  }

  try {
    for await (const chunk of answer.body) {
      await decoder.push(chunk);
      await handOn({ isOpen: false });
    }
    await decoder.end();
    if (decoder.isBlind) throw new Error("Cannot read the upstream's answer: it is damaged or too long");
    await handOn({ isOpen: false });
    lines.end();
    await handOn({ isOpen: true });
  } finally {
    decoder.close();
  }
}

function headersOf(credential: Credential, { provider, upstream }: BatchSource): Headers {
  const headers = new Headers(provider.defaultHeaders.map(([name, value]): [string, string] => [name, value]));
  headers.set(credential.header, credential.value);
  headers.set("accept", "*/*");
  headers.set("accept-encoding", "identity");
  headers.set("user-agent", upstream.userAgent);
  return headers;
}
