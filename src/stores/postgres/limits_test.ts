import assert from "node:assert/strict";
import postgres from "postgres";
import { boundOf, reservationOf } from "../../../tests/limit_records.ts";
import { startPostgres } from "../../../tests/postgres_server.ts";
import { waitFor } from "../../../tests/wait.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "./migrate.ts";
import { openPostgresStore, POSTGRES_DEFAULTS } from "./store.ts";

const server = await startPostgres();
Deno.test.afterAll(async () => await server[Symbol.asyncDispose]());

const ROOM = [boundOf("rpd", 1_000_000)];

Deno.test("reserve() and renewHolders() of the same holders never wait for each other in a circle", async () => {
  await using stand = await open();
  const { store, locker, waiting } = stand;
  // Another replica admits calls of two workspaces.
  for (const id of ["w-0", "w-a"]) await locker.unsafe(`SELECT pg_advisory_lock(1819109748, hashtext('${id}'))`);
  const first = store.reserve(reservationOf({ workspaceId: "w-0", holder: "h-0" }), ROOM);
  await waiting(1);
  // These go in one message, after the first.
  const others = [{ workspaceId: "w-a", holder: "h-2" }, { workspaceId: "w-b", holder: "h-1" }]
    .map((given) => store.reserve(reservationOf(given), ROOM));
  await locker.unsafe("SELECT pg_advisory_unlock(1819109748, hashtext('w-0'))");
  await first;
  await waiting(1);
  const sign = store.renewHolders({ holders: ["h-1", "h-2"], running: [], before: 0 });
  await waiting(2);
  await locker.unsafe("SELECT pg_advisory_unlock(1819109748, hashtext('w-a'))");
  for (const { isAdmitted } of await Promise.all(others)) assert.ok(isAdmitted);
  await sign;
});

Deno.test("reserve() of two replicas takes the locks of workspaces in one order, also if two have the same lock", async () => {
  await using stand = await open();
  const { store, locker, waiting, url } = stand;
  await using other = storeOn(url);
  const [same, twin] = await twins(locker);
  // By name, `between` would come first for one replica and last for the other.
  const between = `${same}-`;
  assert.ok(same < between && between < twin);
  const lock = (what: "lock" | "unlock", id: string) =>
    locker.unsafe(`SELECT pg_advisory_${what}(1819109748, hashtext('${id}'))`);
  for (const id of ["w-0", "w-00", between]) await lock("lock", id);
  // Those behind the first go in one message.
  const inOneMessage = (from: typeof store, holder: string, ids: readonly string[]) =>
    ids.map((workspaceId) => from.reserve(reservationOf({ workspaceId, holder }), ROOM));
  const asked = {
    "w-00": inOneMessage(other, "h-2", ["w-00", between, twin]),
    "w-0": inOneMessage(store, "h-1", ["w-0", same, between]),
  };
  await waiting(2);
  for (const [id, [first]] of Object.entries(asked)) {
    await lock("unlock", id);
    await first;
    await waiting(2);
  }
  await lock("unlock", between);
  for (const { isAdmitted } of await Promise.all(Object.values(asked).flat())) assert.ok(isAdmitted);
});

Deno.test("reserve() waits for no connection that ends and signs of life have, however long those wait for a lock", async () => {
  await using stand = await open();
  const { store, locker, waiting } = stand;
  const running = reservationOf({ holder: "h-1" });
  await store.reserve(running, ROOM);
  await store.renewHolders({ holders: ["h-1"], running: [running.id], before: 0 });
  await locker.unsafe("UPDATE reservation_holders SET expires_at = 0");
  await locker.unsafe("BEGIN; SELECT 1 FROM reservations FOR UPDATE; SELECT 1 FROM reservation_holders FOR UPDATE");
  const behind = [
    store.settle([running]),
    store.renewHolders({ holders: ["h-1"], running: [running.id], before: 0 }),
    store.release([running.id]),
  ];
  await waiting(1);
  assert.ok((await store.reserve(reservationOf({ workspaceId: "w-2", holder: "h-2" }), ROOM)).isAdmitted);
  await locker.unsafe("COMMIT");
  await Promise.all(behind);
});

Deno.test("reserve() is exact if the operator's default isolation is not the server's, and no statement of it waits forever", async () => {
  await using stand = await open();
  const { store, locker, waiting, url } = stand;
  const name = new URL(url).pathname.slice(1);
  await locker.unsafe(`ALTER DATABASE ${name} SET default_transaction_isolation = 'repeatable read'`);
  const replicas = Array.from({ length: 4 }, () => storeOn(url));
  const bounds = [boundOf("rpd", 50)];
  const asked = Array.from({ length: 200 }, (_, n) => replicas[n % 4]!.reserve(reservationOf({ holder: `h-${n % 4}` }), bounds));
  const admitted = (await Promise.all(asked)).filter(({ isAdmitted }) => isAdmitted);
  assert.equal(admitted.length, 50);
  for (const replica of replicas) await replica.close();

  await locker.unsafe("SELECT pg_advisory_lock(1819109748, hashtext('w-1'))");
  const late = store.reserve(reservationOf(), bounds);
  await assert.rejects(late);
  await waiting(0);
});

/** A store of its own database, and a connection that locks what a test says. */
async function open() {
  const url = await server.newDatabase();
  await migratePostgres({ ...MIGRATE_DEFAULTS, url });
  const store = storeOn(url);
  const locker = postgres(url, { max: 1, onnotice: () => {} });
  const watcher = postgres(url, { max: 1, onnotice: () => {} });
  return {
    ...{ url, store, locker },
    /** Resolves when so many connections wait for a lock. */
    waiting: (count: number) =>
      waitFor(async () => {
        const [row] = await watcher`
          SELECT count(*)::int AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
        return row!.count === count;
      }, { what: `${count} connections to wait for locks` }),
    async [Symbol.asyncDispose]() {
      await locker.end();
      await store.close();
      await watcher.end();
    },
  };
}

function storeOn(url: string) {
  const store = openPostgresStore({ ...POSTGRES_DEFAULTS, url });
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
}

/** Two names with one lock. */
async function twins(sql: postgres.Sql): Promise<readonly [string, string]> {
  const [row] = await sql`
    WITH names AS (SELECT 'w-' || n AS name, hashtext('w-' || n) AS key FROM generate_series(1, 400000) AS n)
    SELECT min(name) AS same, max(name) AS twin FROM names GROUP BY key HAVING count(*) = 2 ORDER BY min(name) LIMIT 1`;
  return [row!.same as string, row!.twin as string];
}
