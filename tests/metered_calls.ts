/**
 * Calls of which no two are charged alike, so that a row that is lost, doubled or another's shows
 * in its numbers.
 */
import assert from "node:assert/strict";
import { usageOf } from "./fake_messages.ts";
import { messageCall, received, type Row } from "./proxy_under_test.ts";

/** What a client saw of one call. */
export interface SeenAnswer {
  /** What the user said: `usageOf` it is charged. */
  readonly text: string;
  readonly status: number;
  /** The upstream's id of the message; null where the answer did not come so far. */
  readonly messageId: string | null;
  /** The last byte of the message came, whatever became of the connection behind it. */
  readonly isWhole: boolean;
  /** What broke the answer off; null where it ended tidily. */
  readonly error: unknown;
}

/** A text by whose length, and so by its usage, the call of that number is known. */
export function textOf(number: number): string {
  return "x".repeat(number + 1);
}

export interface MeteredCall {
  readonly token: string;
  readonly text: string;
  /** True unless given. */
  readonly stream?: boolean;
  readonly traceId?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Told all that has come of the answer so far, whenever more has. */
  readonly onText?: (text: string) => void;
}

/** Makes one call and reads its answer to the end. A break before the answer has the status 0. */
export async function callAndRead(url: string, call: MeteredCall): Promise<SeenAnswer> {
  const { token, text, stream = true, traceId, onText } = call;
  const headers = { ...call.headers, ...traceId !== undefined && { "x-trace-id": traceId } };
  const answer = await fetch(`${url}/v1/messages`, messageCall(token, { text, stream, headers })).catch((error) => error);
  if (!(answer instanceof Response)) return { text, status: 0, messageId: null, isWhole: false, error: answer };
  const got = await received(answer, onText);
  return {
    text,
    status: answer.status,
    messageId: /"id":"(msg_\w+)"/.exec(got.text)?.[1] ?? null,
    isWhole: isWholeMessage(got.text, stream),
    error: got.error,
  };
}

/** All of a message has come: its JSON, or the event that ends its stream. */
export function isWholeMessage(text: string, isStreamed: boolean): boolean {
  if (isStreamed) return text.endsWith('data: {"type":"message_stop"}\n\n');
  try {
    return JSON.parse(text).type === "message";
  } catch {
    return false;
  }
}

/**
 * Each answer is whole and has exactly one row, which charges exactly what the upstream charged;
 * there is no other row.
 */
export function assertExactRows(rows: readonly Row[], answers: readonly SeenAnswer[]): void {
  for (const answer of answers) {
    assert.deepEqual([answer.status, answer.isWhole, answer.error], [200, true, null], `the answer to ${answer.text.length}`);
  }
  const charged = (messageId: unknown, counts: readonly unknown[]) => JSON.stringify([messageId, ...counts]);
  assert.deepEqual(
    rows.map((row) => charged(row.message_id, [row.outcome, row.accuracy, ...countsOf(row)])).sort(),
    answers.map(({ messageId, text }) => charged(messageId, ["completed", "exact", ...countsOfText(text)])).sort(),
  );
  assert.equal(new Set(rows.map((row) => row.id)).size, answers.length);
  assert.equal(new Set(rows.map((row) => row.message_id)).size, answers.length);
}

/**
 * What was seen whole has its exact row, by its trace. No call has two rows, was sent upstream
 * twice, or came there without a row. `sent`: the traces that came there. Returns rows by trace.
 */
export function assertRecorded(
  seen: ReadonlyMap<string, SeenAnswer | null>,
  rows: readonly Row[],
  sent: readonly string[],
): ReadonlyMap<string, Row> {
  const rowOf = new Map(rows.map((row) => [String(row.trace_id), row]));
  assert.equal(rowOf.size, rows.length, "a call has two rows");
  for (const [traceId, answer] of seen) {
    if (answer?.isWhole !== true) continue;
    const row = rowOf.get(traceId);
    assert.ok(row, `the row of ${traceId} is lost`);
    assert.deepEqual([row.outcome, row.accuracy, row.message_id], ["completed", "exact", answer.messageId], traceId);
    assert.deepEqual(countsOf(row), countsOfText(answer.text), traceId);
  }
  assert.equal(new Set(sent).size, sent.length, "a call was sent upstream twice");
  for (const traceId of sent) assert.ok(rowOf.has(traceId), `${traceId} went upstream without a row`);
  return rowOf;
}

export function countsOf(row: Row): readonly unknown[] {
  return [row.input_tokens, row.output_tokens, row.cache_creation_input_tokens, row.cache_read_input_tokens];
}

export function countsOfText(text: string): readonly unknown[] {
  const usage = usageOf(text);
  return [usage.input_tokens, usage.output_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens];
}
