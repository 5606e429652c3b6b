/** Reads what exports write, with readers that know nothing of how they were written. */
import { tableFromIPC } from "apache-arrow";
import { createRequire } from "node:module";

/** Of a Parquet file, by Rust's parquet crate and Apache Arrow: its writer is another family's. */
export function readParquet(bytes: Uint8Array) {
  // Its entry for Node reads the WebAssembly from its own folder; only CommonJS finds that.
  const wasm = createRequire(import.meta.url)("parquet-wasm/node") as typeof import("parquet-wasm/node");
  return tableFromIPC(wasm.readParquet(bytes).intoIPCStream());
}

/** Cells of a CSV by RFC 4180: quotes, doubled quotes in them, CRLF between lines. */
export function readCsv(text: string): string[][] {
  const lines: string[][] = [[]];
  for (let at = 0; at < text.length;) {
    let cell = "";
    if (text[at] === '"') {
      const quoted = /"((?:[^"]|"")*)"/y;
      quoted.lastIndex = at;
      const match = quoted.exec(text);
      if (match === null) throw new Error(`No quote ends the cell at ${at}`);
      cell = match[1]!.replaceAll('""', '"');
      at = quoted.lastIndex;
    } else {
      const plain = /[^,\r\n"]*/y;
      plain.lastIndex = at;
      cell = plain.exec(text)![0];
      at = plain.lastIndex;
    }
    lines.at(-1)!.push(cell);
    if (at === text.length) return lines;
    if (text.startsWith(",", at)) {
      at++;
    } else if (text.startsWith("\r\n", at)) {
      at += 2;
      if (at < text.length) lines.push([]);
    } else {
      throw new Error(`Neither a comma nor a line end follows the cell before ${at}`);
    }
  }
  return lines;
}
