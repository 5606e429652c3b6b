import assert from "node:assert/strict";
import { scan } from "../../tests/json_oracle.ts";

Deno.test("scanTopLevel() agrees with JSON.parse on every text of up to four characters that matter", () => {
  const alphabet = [...'{}[]":,\\0-1.eE tu\n\u00e9'];
  const counter = Array.from({ length: 4 }, () => -1);
  for (;;) {
    let place = 0;
    while (place < 4 && ++counter[place]! === alphabet.length) counter[place++] = 0;
    if (place === 4) break;
    const text = counter.map((index) => alphabet[index] ?? "").join("");
    let isValid = true;
    try {
      JSON.parse(text);
    } catch {
      isValid = false;
    }
    if (scan(text).isValid !== isValid) assert.fail(JSON.stringify(text));
  }
});

// deno-fmt-ignore
const INVALID: readonly string[] = [
  "", " ", "{", "}", '{"model":1', '{"model":1,}', '{"model"}', '{"model":}', "{model:1}", "{'model':1}", '{"model":1}}',
  "[1,]", "[,1]", "[1 2]", '{"model":1 "stream":2}', '{"model":1}x', '{"model":1}{"model":2}', "[1}", '{"a":[}]', "{1:2}",
  "01", "-", "+1", "1.", ".5", "1e", "1e+", "1.e5", "--1", "0x1", "1_0", "NaN", "Infinity", "-01", "00", "1.2.3", "1e5.5",
  "tru", "truee", "nul", "True", "falsE", "undefined", "nulll", "t", '{"model":tru}',
  '"', '"\\', '"\\"', '"\\x"', '"\\u12"', '"\\u12g4"', '"\\U0041"', '"\t"', '"\n"', '"\0"', '"\x1f"', '{"mo\ndel":1}',
  "\u00a0{}", "{}\u2028", "\v{}", "\f1", "/**/1", "1//", "\ufeff\ufeff1", " \ufeff1", "1\ufeff", "[\ufeff]", "\ufeff",
];

Deno.test("scanTopLevel() finds nothing in documents that are invalid", () => {
  for (const text of INVALID) {
    assert.throws(() => JSON.parse(text), text);
    assert.deepEqual(scan(text), { isValid: false, found: new Map() }, JSON.stringify(text));
  }
});
