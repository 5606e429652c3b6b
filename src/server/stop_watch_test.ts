import assert from "node:assert/strict";
import type { Actor } from "../domain/audit.ts";
import type { Suspension, SuspensionScope, SuspensionSet } from "../domain/suspensions.ts";
import { waitFor } from "../../tests/wait.ts";
import { StopWatch } from "./stop_watch.ts";
import { suspensionCopyIn } from "./suspension_copy.ts";

const SCOPE = { workspaceId: "w-1", sandboxId: null };
const SUSPENSION: Suspension = { ...SCOPE, createdAt: 7, reason: null };

const BY: Actor = { who: "admin", claimed: null, address: null };

Deno.test("StopWatch holds this machine to what it suspends and resumes before it says so, and to what others change", async () => {
  const { watch, held, database } = inScene();
  await watch.begin();
  assert.deepEqual(await watch.suspend({ ...SCOPE, reason: null }, BY), SUSPENSION);
  assert.deepEqual(held(), [SCOPE]);
  database.set = { change: 9, suspensions: [] };
  await waitFor(() => held().length === 0, { what: "another replica's change" });
  await watch.end();
});

Deno.test("StopWatch keeps the last known suspensions while the store fails, says so once, and says when it is back", async () => {
  const { watch, held, database, notes } = inScene();
  await watch.begin();
  await watch.suspend({ ...SCOPE, reason: null }, BY);
  database.isDown = true;
  await assert.rejects(watch.list(), /down/);
  await assert.rejects(watch.suspend({ ...SCOPE, reason: null }, BY), /down/);
  await waitFor(() => notes.some((note) => note.startsWith("warn")), { what: "the warning" });
  const asked = database.asked;
  await waitFor(() => database.asked > asked, { what: "a further look" });
  assert.deepEqual(held(), [SCOPE]);
  database.isDown = false;
  await waitFor(() => notes.some((note) => note.includes("can be read again")), { what: "the store to be back" });
  assert.equal(notes.filter((note) => note.startsWith("warn")).length, 1);
  await watch.end();
});

Deno.test("StopWatch.end() does not wait for a store that is frozen, and says nothing of it", async () => {
  const { watch, database, notes } = inScene();
  await watch.begin();
  const thaw = Promise.withResolvers<void>();
  database.frozen = thaw.promise;
  const { asked } = database;
  await waitFor(() => database.asked > asked, { what: "a look" });
  await watch.end();
  assert.deepEqual(notes, []);
  thaw.resolve();
});

Deno.test("StopWatch asks which running tokens are revoked, and asks nothing while no local token has a call", async () => {
  const { watch, database, revoked } = inScene();
  await watch.look();
  assert.equal(database.lookups, 0);
  database.running = ["lt-1", "lt-2"];
  await watch.look();
  assert.deepEqual([database.lookups, revoked], [1, []]);
  database.revoked = ["lt-2"];
  await watch.look();
  assert.deepEqual(revoked, ["lt-2"]);
});

Deno.test("StopWatch starts with its copy of the suspensions if the store is down, and drops it for what the store has", async () => {
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const copy = suspensionCopyIn(dir);
  assert.deepEqual(copy.read(), []);
  {
    const { watch } = inScene(copy);
    await watch.begin();
    await watch.suspend({ ...SCOPE, reason: "never in the copy" }, BY);
    await watch.end();
  }
  assert.equal(Deno.readTextFileSync(`${dir}/suspensions.json`), JSON.stringify([SCOPE]));
  const { watch, held, database } = inScene(copy);
  database.isDown = true;
  await watch.begin();
  assert.deepEqual(held(), [SCOPE]);
  database.isDown = false;
  await waitFor(() => held().length === 0, { what: "the store's suspensions" });
  await watch.end();
  assert.deepEqual(copy.read(), []);
  Deno.writeTextFileSync(`${dir}/suspensions.json`, "[{");
  assert.deepEqual(copy.read(), []);
  await Deno.remove(dir, { recursive: true });
});

function inScene(copy: ReturnType<typeof suspensionCopyIn> | null = null) {
  const database = {
    set: { change: 0, suspensions: [] } as SuspensionSet,
    isDown: false,
    frozen: Promise.resolve(),
    asked: 0,
    lookups: 0,
    running: [] as string[],
    revoked: [] as string[],
  };
  let held: readonly SuspensionScope[] = [];
  const [notes, revoked]: [string[], string[]] = [[], []];
  const answer = <T>(value: () => T) => database.isDown ? Promise.reject(new Error("down")) : Promise.resolve(value());
  const change = (suspensions: readonly Suspension[]) => void (database.set = { change: database.set.change + 1, suspensions });
  const watch = new StopWatch({
    newId: () => "01",
    records: {
      suspend: (wanted) =>
        answer(() => {
          change([wanted]);
          return wanted;
        }),
      resume: () =>
        answer(() => {
          change([]);
          return null;
        }),
      suspensionsAfter: (known) => {
        database.asked++;
        return database.frozen.then(() => answer(() => database.set.change === known ? null : database.set));
      },
      findRevoked: (ids) => {
        database.lookups++;
        return answer(() => ids.filter((id) => database.revoked.includes(id)));
      },
    },
    buttons: {
      list: () => Promise.resolve([]),
      cut: () => Promise.resolve(null),
      suspend: (all) => Promise.resolve(void (held = all.map(({ workspaceId, sandboxId }) => ({ workspaceId, sandboxId })))),
      revoke: (ids) => Promise.resolve(void revoked.push(...ids)),
      tokenIds: () => Promise.resolve(database.running),
    },
    copy,
    now: () => 7,
    observe: { note: (level, message) => void notes.push(`${level} ${message}`) },
  });
  return { watch, database, notes, revoked, held: () => held };
}
