/**
 * Files and message batches of the fake upstream, which knows one key and shows everything to
 * clients that have it.
 */
import { type Answer, defaultAnswer, failing, json, type SeenCall } from "./fake_answers.ts";

export interface FakeBatch {
  readonly id: string;
  /** Its results, one JSON text a line; null while it runs. */
  lines: readonly string[] | null;
  /** What its status says; the number of lines unless given. */
  count: number | null;
}

export interface FakeThings {
  readonly files: ReadonlySet<string>;
  readonly batches: ReadonlyMap<string, FakeBatch>;
  /** To be given to `FakeUpstream.answer`. */
  readonly answer: (call: SeenCall) => Answer;
  /** The batch has ended, with that many lines that succeeded unless others are given. */
  finish(id: string, lines: number | readonly string[]): void;
  /** How results are sent, where not whole. */
  sendResults(how: (text: string) => Partial<Answer> & { readonly body: Answer["body"] }): void;
  /** Calls for that batch's results so far. */
  fetches(id: string): number;
}

export const MODEL = "claude-haiku-4-5";

/** Counts that differ by line. */
export function usageOfLine(n: number) {
  return { input_tokens: 100 + n, output_tokens: 10 + n % 7, cache_read_input_tokens: n % 3, cache_creation_input_tokens: 0 };
}

export function lineOf(n: number): string {
  const message = {
    ...{ id: `msg_line_${n}`, type: "message", role: "assistant", model: MODEL, stop_reason: "end_turn", stop_sequence: null },
    content: [{ type: "text", text: `answer ${n} with a \"quote\" and a line\nfeed` }],
    usage: { ...usageOfLine(n), service_tier: "batch" },
  };
  return JSON.stringify({ custom_id: `line-${n}`, result: { type: "succeeded", message } });
}

/** `from`: ids are counted from there, so that those of two accounts differ. */
export function fakeThings({ from = 0 }: { readonly from?: number } = {}): FakeThings {
  const files = new Set<string>();
  const batches = new Map<string, FakeBatch>();
  const fetches = new Map<string, number>();
  let results = (text: string): Partial<Answer> & { readonly body: Answer["body"] } => ({ body: text });
  let made = from;

  const ROUTES: readonly (readonly [RegExp, (id: string, call: SeenCall) => Answer | null])[] = [
    [/^POST \/v1\/files$/, () => {
      const id = `file_0${++made}`;
      files.add(id);
      return json(fileBody(id));
    }],
    [/^GET \/v1\/files$/, () => json({ data: [...files].map(fileBody), has_more: false })],
    [/^GET \/v1\/files\/([^/]+)$/, (id) => files.has(id) ? json(fileBody(id)) : null],
    [/^GET \/v1\/files\/([^/]+)\/content$/, (id) => files.has(id) ? { body: `content of ${id}` } : null],
    [/^DELETE \/v1\/files\/([^/]+)$/, (id) => files.delete(id) ? json({ type: "file_deleted", id }) : null],
    [/^POST \/v1\/messages\/batches$/, () => {
      const id = `msgbatch_0${++made}`;
      batches.set(id, { id, lines: null, count: null });
      return json(batchBody(batches.get(id)!));
    }],
    [/^GET \/v1\/messages\/batches$/, () => json({ data: [...batches.values()].map(batchBody), has_more: false })],
    [
      /^(?:GET|POST) \/v1\/messages\/batches\/([^/]+)(?:\/cancel)?$/,
      (id) => batches.has(id) ? json(batchBody(batches.get(id)!)) : null,
    ],
    [/^GET \/v1\/messages\/batches\/([^/]+)\/results$/, (id) => {
      fetches.set(id, (fetches.get(id) ?? 0) + 1);
      const lines = batches.get(id)?.lines ?? null;
      if (lines === null) return null;
      return { headers: { "content-type": "application/x-jsonl" }, ...results(lines.map((line) => `${line}\n`).join("")) };
    }],
    [
      /^DELETE \/v1\/messages\/batches\/([^/]+)$/,
      (id) => batches.delete(id) ? json({ type: "message_batch_deleted", id }) : null,
    ],
  ];

  return {
    files,
    batches,
    answer: (call) => {
      const route = `${call.method} ${call.target.split("?")[0]}`;
      for (const [pattern, answer] of ROUTES) {
        const match = pattern.exec(route);
        if (match !== null) return answer(match[1] ?? "", call) ?? failing(404)(call);
      }
      return defaultAnswer(call);
    },
    finish: (id, lines) => {
      const batch = batches.get(id)!;
      batch.lines = typeof lines === "number" ? Array.from({ length: lines }, (_, n) => lineOf(n)) : lines;
    },
    sendResults: (how) => void (results = how),
    fetches: (id) => fetches.get(id) ?? 0,
  };
}

/** The text in pieces of that size, with a wait before the one of that number. */
export async function* piecesHeld(
  text: string,
  { chunk, number, until }: { readonly chunk: number; readonly number: number; readonly until: Promise<unknown> },
): AsyncGenerator<string> {
  for (let at = 0, n = 0; at < text.length; at += chunk, n++) {
    if (n === number) await until;
    yield text.slice(at, at + chunk);
  }
}

function fileBody(id: string) {
  const rest = { mime_type: "text/plain", created_at: "2026-01-01T00:00:00Z", downloadable: true };
  return { id, type: "file", filename: "f.txt", size_bytes: 1, ...rest };
}

function batchBody({ id, lines, count }: FakeBatch) {
  const counts = {
    processing: lines === null ? 1 : 0,
    succeeded: count ?? lines?.length ?? 0,
    errored: 0,
    canceled: 0,
    expired: 0,
  };
  const times = { created_at: "2026-01-01T00:00:00Z", expires_at: "2026-01-02T00:00:00Z", ended_at: null };
  return {
    ...{
      id,
      type: "message_batch",
      processing_status: lines === null ? "in_progress" : "ended",
      request_counts: counts,
      ...times,
    },
    // As the real one does, past the proxy.
    ...{ archived_at: null, cancel_initiated_at: null, results_url: lines === null ? null : `https://elsewhere.invalid/${id}` },
  };
}
