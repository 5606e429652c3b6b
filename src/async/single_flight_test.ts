import assert from "node:assert/strict";
import { SingleFlight } from "./single_flight.ts";

Deno.test("SingleFlight starts one work for callers of one key, and another after it has settled", async () => {
  const flights = new SingleFlight<string, number>();
  let started = 0;
  const start = () => Promise.resolve(++started);
  assert.deepEqual(await Promise.all([flights.run("a", start), flights.run("a", start), flights.run("b", start)]), [1, 1, 2]);
  assert.equal(flights.has("a"), false);
  assert.equal(await flights.run("a", start), 3);
});

Deno.test("SingleFlight rejects for all callers that joined, and forgets the failure", async () => {
  const flights = new SingleFlight<string, number>();
  const fail = () => Promise.reject(new Error("failed"));
  const both = [flights.run("a", fail), flights.run("a", fail)];
  for (const each of both) await assert.rejects(each, /^Error: failed$/);
  assert.equal(await flights.run("a", () => Promise.resolve(1)), 1);
});

Deno.test("SingleFlight counts its flights, and is idle when all have settled", async () => {
  const flights = new SingleFlight<string, number>();
  const [slow, failing] = [Promise.withResolvers<number>(), Promise.withResolvers<number>()];
  const results = [flights.run("a", () => slow.promise), flights.run("b", () => failing.promise)];
  assert.equal(flights.size, 2);
  const idle = flights.idle();
  failing.reject(new Error("failed"));
  await assert.rejects(results[1]!, /^Error: failed$/);
  assert.equal(flights.size, 1);
  slow.resolve(1);
  await idle;
  assert.deepEqual([await results[0], flights.size], [1, 0]);
});
