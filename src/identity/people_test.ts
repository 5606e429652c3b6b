import assert from "node:assert/strict";
import { type Claims, type People, peopleRuleOf, personOf } from "./people.ts";

const PEOPLE: People = {
  admin: [peopleRuleOf("Ada@Corp.Example")!, peopleRuleOf("groups=proxy-admins")!, peopleRuleOf("https://corp.example/level=7")!],
  viewer: [peopleRuleOf("*@corp.example")!, peopleRuleOf("is_staff=true")!],
};

function roleOf(...documents: readonly Claims[]) {
  return personOf(documents.map((claims) => ({ sub: "p-1", ...claims })), PEOPLE)?.role;
}

Deno.test("peopleRuleOf() reads addresses, domains and claims, and refuses what could mean more than it says", () => {
  assert.deepEqual(peopleRuleOf("Ada@Corp.Example"), { email: "ada@corp.example" });
  assert.deepEqual(peopleRuleOf("*@Corp.Example"), { emailDomain: "corp.example" });
  assert.deepEqual(peopleRuleOf("groups=a=b"), { claim: "groups", value: "a=b" });
  for (
    const entry of [
      "",
      "*",
      "ada",
      "@corp.example",
      "ada@",
      "*@",
      "a*@corp.example",
      "*@*",
      "groups=",
      "=x",
      "email=ada@corp.example",
    ]
  ) {
    assert.equal(peopleRuleOf(entry), null, entry);
  }
});

Deno.test("personOf() lets in by an address only if the provider has verified it", () => {
  for (const email_verified of [true, "true"]) assert.equal(roleOf({ email: "ADA@corp.example", email_verified }), "admin");
  for (const email_verified of [false, "false", undefined, null, 1]) {
    assert.equal(roleOf({ email: "ada@corp.example", email_verified }), null);
  }
  // The verification of one document is not about the address of the other.
  assert.equal(roleOf({ email: "ada@corp.example" }, { email: "eve@evil.example", email_verified: true }), null);
});

Deno.test("personOf() takes no address for another that only looks or ends like it", () => {
  for (
    const email of [
      "ada@corp.example.evil",
      "ada@evilcorp.example",
      "ada@sub.corp.example",
      "ada@corp.example ",
      "ada@corp.example@evil.example",
      "ada\u212a@corp.example",
      "ada@corp.\u212aexample",
      ["ada@corp.example"],
    ]
  ) {
    assert.equal(roleOf({ email, email_verified: true }), null, String(email));
  }
  assert.equal(roleOf({ email: "bob@corp.example", email_verified: true }), "viewer");
});

Deno.test("personOf() knows a claim's value alone and in a list, from either document, and an admin before a viewer", () => {
  assert.equal(roleOf({ groups: "proxy-admins" }), "admin");
  assert.equal(roleOf({}, { groups: ["staff", "proxy-admins"], is_staff: true }), "admin");
  assert.equal(roleOf({ "https://corp.example/level": 7 }), "admin");
  assert.equal(roleOf({ is_staff: true }), "viewer");
  for (const groups of ["proxy-admins-too", { name: "proxy-admins" }, [["proxy-admins"]], null, undefined]) {
    assert.equal(roleOf({ groups }), null, JSON.stringify(groups));
  }
});

Deno.test("personOf() names a person by the verified address, otherwise by the provider's id", () => {
  assert.equal(personOf([{ sub: "p-1", email: "Eve@Evil.Example", email_verified: true }], PEOPLE)?.name, "eve@evil.example");
  assert.equal(personOf([{ sub: "p-1", email: "eve@evil.example", groups: "x" }], PEOPLE)?.name, "p-1");
  for (const sub of ["", "a\nb", "a\u202eb", "x".repeat(256), 7, undefined]) assert.equal(personOf([{ sub }], PEOPLE), null);
});
