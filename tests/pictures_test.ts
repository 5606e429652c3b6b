import assert from "node:assert/strict";
import { fileOf, MOST_PICTURE_BYTES, PICTURES } from "./browser/pictures.ts";
import { PAGES, readPage } from "./documents.ts";

const IMAGES = new URL("../docs/images/", import.meta.url).pathname;

Deno.test("the pictures of the documents are those that deno task screenshots makes, and each is shown", () => {
  const files = [...Deno.readDirSync(IMAGES)].map(({ name }) => name).sort();
  assert.deepEqual(files, PICTURES.map(fileOf).sort());
  const named = new Set(PAGES.flatMap((page) => [...readPage(page).matchAll(/images\/([\w-]+\.png)/g)].map(([, name]) => name!)));
  assert.deepEqual([...named].sort(), files);
});

for (const picture of PICTURES) {
  const { width, height } = picture;
  Deno.test(`${fileOf(picture)} has ${width} by ${height} pixels and is small`, () => {
    const bytes = Deno.readFileSync(IMAGES + fileOf(picture));
    // https://www.w3.org/TR/png-3/#11IHDR: width and height behind signature, length and type.
    const view = new DataView(bytes.buffer);
    assert.deepEqual([view.getUint32(0), view.getUint32(16), view.getUint32(20)], [0x89504e47, width, height]);
    assert.ok(bytes.length <= MOST_PICTURE_BYTES, `${bytes.length} bytes`);
  });
}
