import assert from "node:assert/strict";
import { refusal, SANDBOX } from "../../tests/fake_calls.ts";
import type { Owner, Owners } from "../domain/owned.ts";
import { assertOwnThings, type Named, namedIn } from "./ownership.ts";

const PROVIDER = { owned: { keys: ["file_id"], prefixes: ["file-", "resp_"] } };
const OWN: Owner = { kind: "file", workspaceId: SANDBOX.workspaceId, credentialId: "key-2", traceId: "at-1" };
const OWNED: ReadonlyMap<string, Owner> = new Map([
  ["file-own1", OWN],
  ["other9", { ...OWN, workspaceId: "w-other" }],
  ["file-other1", { ...OWN, workspaceId: "w-other" }],
  ["msg_own1", { ...OWN, kind: "item" }],
  ["msg_other1", { ...OWN, kind: "item", workspaceId: "w-other" }],
]);

function check(named: Named) {
  const asked: (readonly [ids: readonly string[], mayMiss: boolean])[] = [];
  const owners: Owners = {
    claim: () => Promise.resolve(),
    ownersOf: (ids, { mayMiss = false } = {}) => {
      asked.push([ids, mayMiss]);
      return Promise.resolve(new Map([...OWNED].filter(([id]) => ids.includes(id))));
    },
  };
  return { asked, own: assertOwnThings(named, { sandbox: SANDBOX, provider: PROVIDER, deps: { owners } }) };
}

Deno.test("assertOwnThings() refuses another workspace's thing, and an unknown one that looks like the upstream's, also among spaces", async () => {
  const refused = [
    "file-other1",
    "other9",
    "file-unknown",
    "resp_1",
    " file-other1",
    "file-other1\n",
    "\tresp_x ",
    "file-a\0",
    "file-é",
  ];
  for (const id of refused) {
    await assert.rejects(check({ things: ["file-own1", id] }).own, refusal("not_owned"), JSON.stringify(id));
  }
});

Deno.test("assertOwnThings() lets texts and unknown words pass, looks none of them up, and says what holds the first own thing", async () => {
  const passing = ["", "auto", "a-b", "file-based databases are slow", "1a2b of another system", "é", "x".repeat(2_000)];
  const words = check({ things: passing });
  assert.deepEqual([await words.own, words.asked], [{ heldBy: null, isAny: false }, []]);
  const own = check({ things: ["no-1", "file-own1"] });
  assert.deepEqual([await own.own, own.asked], [{ heldBy: "key-2", isAny: true }, [[["no-1", "file-own1"], false]]]);
});

Deno.test("assertOwnThings() refuses another's item only, and may miss one if the body does not surely refer to items", async () => {
  for (const areSure of [true, false]) {
    const items = { ids: ["msg_made_up1", "msg_own1"], areSure };
    const own = check({ things: [], items });
    assert.deepEqual([await own.own, own.asked], [{ heldBy: "key-2", isAny: areSure }, [[items.ids, !areSure]]]);
    await assert.rejects(check({ things: [], items: { ids: ["msg_other1"], areSure } }).own, refusal("not_owned"));
  }
});

Deno.test("assertOwnThings() refuses more than one request can name", async () => {
  const ids = Array.from({ length: 10_001 }, (_, n) => `x${n}`);
  await assert.rejects(check({ things: ids }).own, refusal("not_owned"));
  await assert.rejects(check({ things: [], items: { ids, areSure: false } }).own, refusal("not_owned"));
});

Deno.test("namedIn() finds what looks like the upstream's in each segment and in each word of a query, decoded", () => {
  const named = (target: string, from?: number) => namedIn(target, PROVIDER, from);
  assert.deepEqual(named("/v1/files/file-1/content").things, ["file-1"]);
  assert.deepEqual(named("/v1/x?a=1&b=file-1&resp_2&c=+resp_3&d=%66ile-4&e=%zz").things, [
    "file-1",
    "resp_2",
    " resp_3",
    "file-4",
  ]);
  assert.deepEqual(named("/v1/responses/x?y=a_b"), { things: [], items: { ids: [], areSure: true } });
  assert.deepEqual(named("/v1/stores/vs_1/files/file-2?x=y", 4), {
    things: ["file-2"],
    items: { ids: ["files", "file-2"], areSure: true },
  });
});
