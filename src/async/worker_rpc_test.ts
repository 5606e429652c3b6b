import assert from "node:assert/strict";
import { answerRequest, type Port, type PortEvents, type Request, WorkerRpc } from "./worker_rpc.ts";

const METHODS = {
  add: (a: number, b: number) => a + b,
  later: (value: string) => Promise.resolve(value),
  fail: () => Promise.reject(new Error("failed")),
  hang: () => new Promise<never>(() => {}),
};

/** A worker on this thread; `die` kills the one that was started last. */
function stand() {
  const seen = { started: 0, terminated: 0 };
  let events: PortEvents | null = null;
  function start(given: PortEvents): Port {
    seen.started++;
    events = given;
    const options = { reply: given.onReply, carriedError: (error: unknown) => (error as Error).message };
    return {
      post: (request: Request) => void answerRequest(METHODS, request, options),
      terminate: () => void seen.terminated++,
    };
  }
  const rpc = new WorkerRpc<typeof METHODS>({ start, arrivedError: (carried) => new Error(String(carried)) });
  return { rpc, seen, die: () => events!.onDeath(new Error("died")) };
}

Deno.test("call() resolves to what the method returns and rejects as it does", async () => {
  const { rpc, seen } = stand();
  const both = await Promise.all([rpc.call("add", 1, 2), rpc.call("later", "x")]);
  assert.deepEqual(both, [3, "x"]);
  await assert.rejects(rpc.call("fail"), /^Error: failed$/);
  assert.equal(seen.started, 1);
});

Deno.test("call() rejects when the worker dies, and the next one starts another worker", async () => {
  const { rpc, seen, die } = stand();
  const open = rpc.call("hang");
  die();
  await assert.rejects(open, /^Error: died$/);
  assert.equal(await rpc.call("add", 1, 1), 2);
  assert.deepEqual(seen, { started: 2, terminated: 1 });
});

Deno.test("close() rejects what is open and what comes later with its reason", async () => {
  const { rpc, seen } = stand();
  const open = rpc.call("hang");
  rpc.close(new Error("closed"));
  await assert.rejects(open, /^Error: closed$/);
  await assert.rejects(rpc.call("add", 1, 1), /^Error: closed$/);
  assert.deepEqual(seen, { started: 1, terminated: 1 });
});

Deno.test("finish() answers what was asked before, calls the last method, and then closes", async () => {
  const { rpc, seen } = stand();
  const before = rpc.call("add", 1, 2);
  const finished = rpc.finish("fail", new Error("closed"));
  await assert.rejects(rpc.call("add", 1, 1), /^Error: closed$/);
  assert.equal(await before, 3);
  await assert.rejects(finished, /^Error: failed$/);
  assert.deepEqual(seen, { started: 1, terminated: 1 });
});

Deno.test("finish() starts no worker only to close it", async () => {
  const { rpc, seen } = stand();
  await rpc.finish("add", new Error("closed"));
  await assert.rejects(rpc.call("add", 1, 1), /^Error: closed$/);
  assert.deepEqual(seen, { started: 0, terminated: 0 });
});

Deno.test("call() rejects if the worker cannot be started", async () => {
  const start = () => {
    throw new Error("no worker");
  };
  const rpc = new WorkerRpc<typeof METHODS>({ start, arrivedError: () => new Error() });
  await assert.rejects(rpc.call("add", 1, 1), /^Error: no worker$/);
});
