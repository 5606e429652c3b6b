import type { Observe } from "../domain/observe.ts";
import type { BatchDialect, BatchStatus } from "../domain/provider.ts";
import type { Upstream } from "../domain/upstream.ts";
import type { Fetch } from "../wire/plain_fetch.ts";
import { type CopyDecoder, decoderOf } from "../wire/decode.ts";
import { LineSplitter } from "../wire/line_splitter.ts";
import { IdleTimeout, UPSTREAM_IDLE } from "../wire/idle_timeout.ts";
import { nextTurn } from "../wire/event_loop_budget.ts";
import { askUpstream } from "./own_request.ts";

/** What reading a batch takes from outside. */
export interface BatchSource {
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
  /** The credential that made it. */
  readonly heldBy: string | null;
  readonly signal: AbortSignal;
}

/** Rejects with `BatchMissing`, or an error that says what went wrong. */
export async function fetchStatus(asked: BatchAsked, source: BatchSource): Promise<BatchStatus> {
  const text = await fetchText(asked, { path: source.dialect.pathOf(asked.id), maxBytes: MAX_STATUS_BYTES, source });
  const status = source.dialect.parseStatus(text);
  if (status === null) throw new Error("Cannot read the batch's status: the upstream's answer has none");
  return status;
}

/** The whole answer of at most `maxBytes`. Rejects as `fetchStatus` does. */
export async function fetchText(
  asked: BatchAsked,
  options: { readonly path: string; readonly maxBytes: number; readonly source: Omit<BatchSource, "dialect"> },
): Promise<string> {
  let text = "";
  for await (const { line } of readLines(asked, options)) text += line ?? "";
  return text;
}

/**
 * The lines of the results in order; null for one that is too long. Takes constant memory: it reads
 * no further while its caller works. Asks the configured upstream, never the address that the batch
 * names. Rejects as `fetchStatus` does.
 */
export async function* fetchResults(asked: BatchAsked, source: BatchSource): AsyncGenerator<string | null> {
  const path = source.dialect.resultsPathOf(asked.id);
  let isFirst = true;
  for await (const { line, isOpen } of readLines(asked, { path, maxBytes: Number.MAX_SAFE_INTEGER, source })) {
    const trouble = line === null ? null : troubleOf(line, { isFirst, isOpen, source });
    if (trouble !== null) throw new Error(`Cannot read ${path}: ${trouble}`);
    isFirst = false;
    yield line;
  }
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
  const { errorType } = source.dialect.answer.parseNonStreamingResponse(line);
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

interface Line {
  /** Null: it is too long. */
  readonly line: string | null;
  /** The answer ended after it without a line feed. */
  readonly isOpen: boolean;
}

async function* readLines(
  { id, heldBy, signal }: BatchAsked,
  { path, maxBytes, source }: { readonly path: string; readonly maxBytes: number; readonly source: Omit<BatchSource, "dialect"> },
): AsyncGenerator<Line> {
  const controller = new AbortController();
  const idle = new IdleTimeout({ ms: IDLE_MS, elapsed: source.elapsed, onIdle: () => controller.abort(UPSTREAM_IDLE) });
  let waiting: (string | null)[] = [];
  const splitter = new LineSplitter({ maxBytes: MAX_LINE_BYTES, onLine: (line) => void waiting.push(line) });

  async function* split(isOpen: boolean): AsyncGenerator<Line> {
    const lines = waiting;
    waiting = [];
    idle.heard();
    for (const line of lines) yield { line, isOpen };
    // One chunk a turn of the event loop: calls come in between.
    await nextTurn();
    idle.listen();
  }

  idle.listen();
  let decoder: CopyDecoder | null = null;
  try {
    const answer = await ask(path, { id, heldBy, signal: AbortSignal.any([signal, controller.signal]), source });
    const coding = answer.headers.get("content-encoding") ?? "";
    decoder = decoderOf(coding, { maxBytes, onChunk: (chunk) => splitter.push(chunk) });
    if (decoder === null) throw new Error("Cannot read the upstream's answer: its content encoding is unknown");
    for await (const chunk of answer.body ?? []) {
      await decoder.push(chunk);
      yield* split(false);
    }
    await decoder.end();
    if (decoder.isBlind) throw new Error("Cannot read the upstream's answer: it is damaged or too long");
    yield* split(false);
    splitter.end();
    yield* split(true);
  } finally {
    idle.end();
    decoder?.close();
  }
}

async function ask(
  path: string,
  { id, heldBy, signal, source }: BatchAsked & { readonly source: Omit<BatchSource, "dialect"> },
): Promise<Response> {
  const { upstream, fetch } = source;
  const credential = upstream.credentials.holding(heldBy);
  const answer = await askUpstream(path, { upstream, credential, fetch, signal });
  if (answer.ok && answer.body !== null) return answer;
  await answer.body?.cancel();
  if (answer.status === 401) source.observe.credentialRefused(id, credential.id);
  if (answer.status === 404) throw new BatchMissing(`The upstream knows no ${path}`);
  throw new Error(`The upstream answers ${answer.status} for ${path}`);
}
