import assert from "node:assert/strict";
import type { AuditStamp } from "../../src/domain/audit.ts";
import type { Store } from "../../src/domain/store.ts";
import type { Suspension, SuspensionRecords } from "../../src/domain/suspensions.ts";
import type { Revocations, Tokens } from "../../src/domain/tokens.ts";
import { stampAt, T0 } from "./samples.ts";

let stamps = 0;

/** Each with an id of its own. */
function stamp(): AuditStamp {
  return stampAt(T0 + ++stamps);
}

type Records = SuspensionRecords & Tokens & Revocations;

const WORKSPACE: Suspension = { workspaceId: "w-1", sandboxId: null, createdAt: T0, reason: "the card was declined" };
const SANDBOX: Suspension = { workspaceId: "w-1", sandboxId: "sb-1", createdAt: T0 + 1, reason: null };

/** The laws of every store about suspensions and revocations. `open` returns an empty one. */
export function suspensionLaws(
  name: string,
  open: () => Promise<{ readonly store: Pick<Store, "close"> & Records; readonly dispose: () => Promise<void> }>,
): void {
  function law(words: string, holds: (store: Records) => Promise<void>): void {
    Deno.test(`${name}: ${words}`, async () => {
      const { store, dispose } = await open();
      try {
        await holds(store);
      } finally {
        await dispose();
      }
    });
  }

  law("suspensionsAfter() returns all by scope after each change, and null if nothing changed since", async (store) => {
    const first = (await store.suspensionsAfter(-1))!;
    assert.deepEqual(first.suspensions, []);
    assert.equal(await store.suspensionsAfter(first.change), null);
    await store.suspend(SANDBOX, stamp());
    await store.suspend({ ...WORKSPACE, workspaceId: "w-2" }, stamp());
    await store.suspend(WORKSPACE, stamp());
    const second = (await store.suspensionsAfter(first.change))!;
    assert.deepEqual(second.suspensions, [WORKSPACE, SANDBOX, { ...WORKSPACE, workspaceId: "w-2" }]);
    assert.equal(await store.suspensionsAfter(second.change), null);
    await store.resume(WORKSPACE, stamp());
    const third = (await store.suspensionsAfter(second.change))!;
    assert.deepEqual(third.suspensions, [SANDBOX, { ...WORKSPACE, workspaceId: "w-2" }]);
    assert.deepEqual(await store.suspensionsAfter(second.change), third);
  });

  law("suspend() of what is suspended keeps the first time and takes the new reason", async (store) => {
    assert.deepEqual(await store.suspend(WORKSPACE, stamp()), WORKSPACE);
    const again = { ...WORKSPACE, createdAt: T0 + 9, reason: null };
    assert.deepEqual(await store.suspend(again, stamp()), { ...again, createdAt: T0 });
    assert.deepEqual((await store.suspensionsAfter(-1))?.suspensions, [{ ...again, createdAt: T0 }]);
  });

  law("resume() returns what it ended, and null for a scope that was not suspended", async (store) => {
    await store.suspend(SANDBOX, stamp());
    assert.equal(await store.resume({ workspaceId: "w-1", sandboxId: null }, stamp()), null);
    assert.equal(await store.resume({ workspaceId: "w-2", sandboxId: "sb-1" }, stamp()), null);
    assert.deepEqual(await store.resume(SANDBOX, stamp()), SANDBOX);
    assert.equal(await store.resume(SANDBOX, stamp()), null);
  });

  law("suspend() and resume() of one scope by many at once never wait for each other in a circle", async (store) => {
    const rounds = Array.from(
      { length: 20 },
      (_, n) => n % 2 === 0 ? store.suspend(SANDBOX, stamp()) : store.resume(SANDBOX, stamp()),
    );
    await Promise.all(rounds);
    assert.equal((await store.suspensionsAfter(-1))?.change, rounds.length);
  });

  law("findRevoked() returns the revoked ones of these ids", async (store) => {
    for (const id of ["lt-1", "lt-2", "lt-3"]) {
      const token = { id, workspaceId: "w", sandboxId: "s", createdAt: T0, expiresAt: null, revokedAt: null };
      await store.createToken(token, `hash of ${id}`, stamp());
    }
    await store.revokeToken("lt-1", stamp());
    await store.revokeToken("lt-3", stamp());
    assert.deepEqual(await store.findRevoked(["lt-1", "lt-2", "unknown"]), ["lt-1"]);
    assert.deepEqual(await store.findRevoked([]), []);
  });
}
