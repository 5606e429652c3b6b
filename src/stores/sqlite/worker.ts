/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import type { DatabaseSync } from "node:sqlite";
import { carriedError } from "../../domain/unavailable.ts";
import { answersOn } from "./worker_methods.ts";
import { Checkpoints } from "./checkpoints.ts";
import { openConnection } from "./connection.ts";
import type { Answers, AskMessage, OpenMessage, Reply } from "./protocol.ts";
import { unavailableOf } from "./unavailable.ts";

/** How long a write of the store waits for the ledger's transactions, which take milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

self.onmessage = ({ data }: MessageEvent<OpenMessage>) => {
  reply(0, () => {
    const db = open(data);
    const answers = answersOn(db);
    self.onmessage = (event: MessageEvent<AskMessage>) => reply(event.data.ask, () => answer(event.data, { answers, db }));
  });
};

function open({ path, synchronous, checkpointMs }: OpenMessage): DatabaseSync {
  const db = openConnection(path, { synchronous, busyTimeoutMs: BUSY_TIMEOUT_MS, autoCheckpointPages: 0, cacheKib: 64_000 });
  const checkpoints = new Checkpoints(db, { path, busyTimeoutMs: BUSY_TIMEOUT_MS });
  if (checkpointMs > 0) setInterval(() => checkpoints.look(), checkpointMs);
  return db;
}

function answer(message: AskMessage, { answers, db }: { readonly answers: Answers; readonly db: DatabaseSync }): unknown {
  if (message.verb === "close") return db.close();
  // The asking side's types tie the arguments to the verb; the compiler cannot follow them through a message.
  const method = answers[message.verb] as (...args: readonly unknown[]) => unknown;
  return method(...message.args);
}

function reply(ask: number, work: () => unknown): void {
  let message: Reply;
  try {
    message = { ask, value: work() };
  } catch (error) {
    message = { ask, error: carriedError(unavailableOf(error) ?? error) };
  }
  self.postMessage(message);
}
