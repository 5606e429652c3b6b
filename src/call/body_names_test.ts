import assert from "node:assert/strict";
import { refusal } from "../../tests/fake_calls.ts";
import { BodyNames, type BodyNamesOptions } from "./body_names.ts";

const OWNED = { keys: ["file_id", "file_ids"], prefixes: ["file-"], items: { keys: ["id"], mark: "item_reference" } };
const BATCH = { field: "purpose", value: "batch" };
const LINES = `{"body":{"file_id":"file-1"}}\n{"body":{"input":[{"id":"msg_1","type":"item_reference"}]}}`;

async function named(body: BodyInit, over: Partial<BodyNamesOptions> = {}) {
  const sent = new Response(body);
  const names = new BodyNames({
    ...{ contentType: sent.headers.get("content-type") ?? "", contentEncoding: "", maxDecodedBytes: 1e6, owned: OWNED },
    ...over,
  });
  const bytes = new Uint8Array(await sent.arrayBuffer());
  const things: string[] = [];
  for (let from = 0; from < bytes.length; from += 50) {
    await names.push(bytes.subarray(from, from + 50));
    things.push(...names.take().things);
  }
  const rest = await names.end();
  return { things: [...things, ...rest.things], items: rest.items };
}

function form(fields: Readonly<Record<string, string | File>>): FormData {
  const made = new FormData();
  for (const [name, value] of Object.entries(fields)) made.append(name, value);
  return made;
}

Deno.test("BodyNames finds what JSON names, and what fields of a form name: by their value, by brackets, and as JSON", async () => {
  assert.deepEqual(await named(LINES), { things: ["file-1"], items: { ids: ["msg_1"], areSure: true } });
  const fields = {
    ...{ file_id: "file-1", "file_ids[]": "file-2", "picture[file_id]": "file-3", other: "file-no" },
    ...{ reference: `{"file_id":"file-4"}`, id: "msg_1", file: new File([LINES], "f.jsonl") },
  };
  assert.deepEqual(await named(form(fields)), {
    things: ["file-1", "file-2", "file-3", "file-4"],
    items: { ids: ["msg_1"], areSure: true },
  });
});

Deno.test("BodyNames looks into a form's file only if a field says that it holds requests, wherever that stands", async () => {
  const file = new File([LINES], "f.jsonl");
  for (const fields of [{ file, purpose: "batch" }, { purpose: "batch", file }, { file, purpose: " batch\n" }]) {
    const { things, items } = await named(form(fields), { namesOwnedIf: BATCH });
    assert.deepEqual([things, items?.ids], [["file-1"], ["msg_1"]]);
  }
  for (const fields of [{ file, purpose: "user_data" }, { file }]) {
    assert.deepEqual(await named(form(fields), { namesOwnedIf: BATCH }), { things: [], items: undefined });
  }
});

Deno.test("BodyNames refuses a form that may have other fields, and one that is compressed", async () => {
  const contentType = "multipart/form-data; boundary=x";
  for (const namesOwnedIf of [undefined, BATCH]) {
    const over = { contentType, ...namesOwnedIf === undefined ? {} : { namesOwnedIf } };
    await assert.rejects(named("--x\nno form", over), refusal("body_opaque"));
    const good = `--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nv\r\n--x--`;
    assert.deepEqual((await named(good, over)).things, []);
    await assert.rejects(named(good, { ...over, contentEncoding: "gzip" }), refusal("body_opaque"));
  }
});
