import assert from "node:assert/strict";
import { seeded } from "../../tests/json_documents.ts";
import { FormFields } from "./form_fields.ts";

const encoder = new TextEncoder();
const TYPE = "multipart/form-data; boundary=xyz";

function read(
  body: Uint8Array,
  { type = TYPE, size = () => body.length }: { readonly type?: string; readonly size?: () => number } = {},
) {
  const form = FormFields.of(type, { maxValueBytes: 100 })!;
  const fields = [];
  for (let from = 0; from < body.length;) {
    const to = from + size();
    form.push(body.subarray(from, to));
    fields.push(...form.take());
    from = to;
  }
  return { fields, isHidden: form.isHidden };
}

function part(head: string, value = "v"): string {
  return `--xyz\r\n${head}\r\n\r\n${value}\r\n`;
}

Deno.test("FormFields reads what the platform's own encoder writes, cut anywhere, and keeps no file", async () => {
  const random = seeded(20261129);
  const below = (n: number) => Math.floor(random() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  for (let n = 0; n < 3_000; n++) {
    const form = new FormData();
    const expected: { name: string; value: string }[] = [];
    for (let fields = below(5); fields > 0; fields--) {
      const name = pick(["purpose", "file_id", "file_ids[]", "expires_after[anchor]", "a b"]);
      const value = pick(["", "batch", "é ü", "--", "--x", "\r\n", "\r\n--x", "a\r\n\r\nb", "x".repeat(90), 'a"b']);
      if (below(3) === 0) form.append(name, new File([value, value], pick(["f.jsonl", "é.bin", "a b"])));
      else form.append(name, value), expected.push({ name, value });
    }
    const sent = new Response(form);
    const type = sent.headers.get("content-type")!;
    const body = new Uint8Array(await sent.arrayBuffer());
    for (const size of [() => body.length, () => 1 + below(4), () => 1 + below(60)]) {
      assert.deepEqual(read(body, { type, size }), { fields: expected, isHidden: false }, new TextDecoder().decode(body));
    }
  }
});

Deno.test("FormFields hides every form in which another reader might see another field", () => {
  const field = `Content-Disposition: form-data; name="a"`;
  const end = "--xyz--\r\n";
  const odd: Readonly<Record<string, string>> = {
    "lines that end otherwise": `${part(field)}${end}`.replaceAll("\r\n", "\n"),
    "text in front": `hello\r\n${part(field)}${end}`,
    "text behind": `${part(field)}${end}${part(field)}`,
    "no end": part(field),
    "a boundary within a line": `${part(field, "v--xyz\r\nw")}${end}`,
    "a boundary right behind a head": `--xyz\r\n${field}\r\n\r\n--xyz--\r\n`,
    "spaces behind a boundary": `${part(field)}--xyz  \r\n${field}\r\n\r\nv\r\n${end}`,
    "a longer boundary": `${part(field, "v\r\n--xyzz")}${end}`,
    "an escaped name": `${part(`Content-Disposition: form-data; name="file\\_id"`)}${end}`,
    "a percent-encoded name": `${part(`Content-Disposition: form-data; name="file%5Fid"`)}${end}`,
    "a name without quotes": `${part(`Content-Disposition: form-data; name=file_id`)}${end}`,
    "two names": `${part(`${field}; name="file_id"`)}${end}`,
    "an extended name": `${part(`${field}; name*=utf-8''file_id`)}${end}`,
    "a name in a file's name": `${part(`${field}; filename="x\\"; name="file_id"`)}${end}`,
    "two heads": `${part(`${field}\r\ncontent-disposition: form-data; name="file_id"`)}${end}`,
    "a folded head": `${part(`${field};\r\n filename="x"`)}${end}`,
    "a coding": `${part(`${field}\r\nContent-Transfer-Encoding: base64`)}${end}`,
    "an unknown head": `${part(`${field}\r\nX-Name: file_id`)}${end}`,
    "another charset": `${part(`${field}\r\nContent-Type: text/plain; charset=utf-16`)}${end}`,
    "a charset of all": `${part(`Content-Disposition: form-data; name="_charset_"`)}${end}`,
    "no disposition": `${part("Content-Type: text/plain")}${end}`,
    "a long head": `${part(`${field}\r\nContent-Type: ${"x".repeat(5_000)}`)}${end}`,
  };
  for (const [what, body] of Object.entries(odd)) {
    for (const size of [1, 1_000_000]) assert.equal(read(encoder.encode(body), { size: () => size }).isHidden, true, what);
  }
  const good = encoder.encode(`${part(`${field}\r\nContent-Type: text/plain; charset=utf-8`)}${end}`);
  assert.deepEqual(read(good), { fields: [{ name: "a", value: "v" }], isHidden: false });
  for (
    const type of [
      "multipart/mixed; boundary=xyz",
      `application/json, ${TYPE}`,
      "multipart/form-data",
      "multipart/form-data; boundary=a b",
      `${TYPE}; boundary=abc`,
    ]
  ) {
    assert.equal(read(good, { type }).isHidden, true, type);
  }
  assert.equal(read(good, { type: `multipart/form-data; boundary="xyz"` }).isHidden, false);
});

Deno.test("FormFields.of() takes no other body for a form", () => {
  for (const type of ["application/json", "", "text/plain"]) {
    assert.equal(FormFields.of(type, { maxValueBytes: 1 }), null, type);
  }
});

Deno.test("FormFields keeps little of long values and of files", () => {
  const form = FormFields.of(TYPE, { maxValueBytes: 10 })!;
  form.push(encoder.encode(part(`Content-Disposition: form-data; name="a"`, "y".repeat(1_000))));
  form.push(encoder.encode(`--xyz\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n`));
  const before = Deno.memoryUsage().heapUsed;
  for (let n = 0; n < 400; n++) form.push(new Uint8Array(65_536).fill(0x61));
  assert.ok(Deno.memoryUsage().heapUsed - before < 15e6);
  form.push(encoder.encode("\r\n--xyz--"));
  assert.deepEqual([form.take(), form.isHidden], [[{ name: "a", value: "y".repeat(10) }], false]);
});
