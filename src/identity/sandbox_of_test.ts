import assert from "node:assert/strict";
import { Fault } from "../domain/fault.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import { MAX_TOKEN_LENGTH, sandboxOf } from "./sandbox_of.ts";

/** Asks with `token` and returns which authority was asked; `none`: it was refused before. */
async function askedFor(token: string, { hasAgentserver }: { readonly hasAgentserver: boolean } = { hasAgentserver: true }) {
  const asked: string[] = [];
  const authority = (name: string) => (token: string): Promise<Sandbox> => {
    asked.push(`${name} ${token}`);
    return Promise.resolve({ sandboxId: name, workspaceId: "ws", tokenId: null });
  };
  const of = sandboxOf({ agentserver: hasAgentserver ? authority("agentserver") : null, local: authority("local") });
  try {
    assert.equal((await of(token)).sandboxId, asked[0]?.split(" ")[0]);
  } catch (error) {
    assert.ok(error instanceof Fault && error.code === "unauthenticated");
    assert.deepEqual(asked, []);
    return "none";
  }
  assert.deepEqual(asked.length, 1);
  return asked[0]!;
}

Deno.test("sandboxOf() asks only the table about tokens that start with llmp_", async () => {
  assert.equal(await askedFor("llmp_abc"), "local llmp_abc");
  assert.equal(await askedFor("llmp_"), "local llmp_");
});

Deno.test("sandboxOf() asks only the control plane about all others", async () => {
  for (const token of ["abc", "LLMP_abc", "llmp-abc", "xllmp_abc", "sk-ant-api03-x"]) {
    assert.equal(await askedFor(token), `agentserver ${token}`);
  }
});

Deno.test("sandboxOf() knows only local tokens if no control plane is configured", async () => {
  assert.equal(await askedFor("abc", { hasAgentserver: false }), "none");
  assert.equal(await askedFor("llmp_abc", { hasAgentserver: false }), "local llmp_abc");
});

Deno.test("sandboxOf() asks no authority about what cannot be a token", async () => {
  for (
    const token of ["", " ", "a b", "llmp_a\n", "llmp_\u0000", "llmp_é", "\u007f", "llmp_" + "a".repeat(MAX_TOKEN_LENGTH - 4)]
  ) {
    assert.equal(await askedFor(token), "none", JSON.stringify(token.slice(0, 20)));
  }
  assert.notEqual(await askedFor("llmp_" + "a".repeat(MAX_TOKEN_LENGTH - 5)), "none");
});
