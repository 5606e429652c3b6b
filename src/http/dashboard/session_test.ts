import assert from "node:assert/strict";
import { actorOf, type Session } from "./session.ts";

Deno.test("actorOf() names the person that the OpenID provider vouches for, and no one for a token", () => {
  const session: Session = { id: "id-1", way: "oidc", role: "admin", who: "ada@corp.example", expiresAt: 0 };
  assert.deepEqual(actorOf(session, "10.0.0.7"), { who: "oidc", claimed: "ada@corp.example", address: "10.0.0.7" });
  assert.deepEqual(actorOf({ ...session, way: "admin_token", who: null }, null), { who: "admin", claimed: null, address: null });
});
