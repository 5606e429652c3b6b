import assert from "node:assert/strict";
import { holdsSecret } from "./secrets.ts";

Deno.test("holdsSecret() finds a secret as it is, and percent-encoded in whole and in part", () => {
  const secret = "a+b/c=%41";
  const encoded = [...secret].map((character) => `%${character.charCodeAt(0).toString(16)}`).join("");
  for (const text of [secret, `key=${secret}&x`, encodeURIComponent(secret), encoded, encoded.toUpperCase(), "a+b%2Fc=%2541"]) {
    assert.equal(holdsSecret(text, secret), true, text);
  }
});

Deno.test("holdsSecret() finds no secret in what only looks like it, nor trips over what is no encoding", () => {
  for (const text of ["", "%", "%4", "%zz", "%ff%fe", "a+b", "A+B/C=%41", "a%252Bb%252Fc%253D%252541"]) {
    assert.equal(holdsSecret(text, "a+b/c=%41"), false, text);
  }
});

Deno.test("holdsSecret() finds an empty secret nowhere", () => {
  for (const text of ["", "a", "%41"]) assert.equal(holdsSecret(text, ""), false, text);
});
