import assert from "node:assert/strict";
import { exactJson, parseExact } from "./exact_json.ts";

Deno.test("parseExact() and exactJson() keep every digit of whole numbers beyond 2^53", () => {
  const text = '{"a":9007199254740993,"b":-9007199254740993,"c":[1,2.5,9007199254740991,1e300],"d":"9007199254740993"}';
  assert.deepEqual(parseExact(text), {
    a: 9007199254740993n,
    b: -9007199254740993n,
    c: [1, 2.5, 9007199254740991, 1e300],
    d: "9007199254740993",
  });
  assert.equal(exactJson(parseExact(text)), text.replace("1e300", "1e+300"));
});

Deno.test("parseExact() throws SyntaxError for what is no JSON", () => {
  assert.throws(() => parseExact("<html>"), SyntaxError);
});
