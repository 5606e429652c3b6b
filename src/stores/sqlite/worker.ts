/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { answerRequest, type Request } from "../../async/worker_rpc.ts";
import { carriedError } from "../../domain/unavailable.ts";
import { openConnection } from "./connection.ts";
import { unavailableOf } from "./errors.ts";
import type { OpenMessage, WorkerMethods } from "./protocol.ts";
import { answersOn } from "./worker_methods.ts";

/** How long a write waits for the transactions of other Workers, which take milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

self.onmessage = ({ data: options }: MessageEvent<OpenMessage>) => {
  let methods: WorkerMethods | null = null;
  self.onmessage = ({ data: request }: MessageEvent<Request>) => {
    const method = (...args: readonly unknown[]) => {
      // What was never opened, or could not be, needs no closing.
      if (methods === null && request.method === "close") return;
      methods ??= open(options);
      // The asking side's types tie the arguments to the method.
      return (methods[request.method as keyof WorkerMethods] as (...args: readonly unknown[]) => unknown)(...args);
    };
    void answerRequest({ [request.method]: method }, request, {
      reply: (reply) => self.postMessage(reply),
      carriedError: (error) => carriedError(unavailableOf(error) ?? error),
    });
  };
};

function open({ path, synchronous }: OpenMessage): WorkerMethods {
  const db = openConnection(path, { synchronous, busyTimeoutMs: BUSY_TIMEOUT_MS, autoCheckpointPages: 0, cacheKib: 64_000 });
  return { ...answersOn(db), open: () => {}, close: () => db.close() };
}
