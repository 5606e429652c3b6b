#!/usr/bin/env bash
# 2026-11-28, hyparquet-writer 0.17.0, parquet-wasm 0.8.0 (the Rust reader), Node.
#
# Behaviour: hyparquet-writer writes a table without rows, but strict readers refuse the file.
# Output seen below. A table with one row is read by both.
# One would expect: an empty month is a file that every reader opens and finds empty.
# Hurts: whoever exports by query and gets no rows now and then; the job that reads them fails.
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund hyparquet-writer@0.17.0 hyparquet@1.25.1 parquet-wasm@0.8.0 >/dev/null
cat > empty.mjs <<'JS'
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { createRequire } from "node:module";
const { readParquet } = createRequire(import.meta.url)("parquet-wasm");

function fileOf(rows) {
  const writer = new ByteWriter();
  const schema = [{ name: "root", num_children: 1 }, { name: "id", type: "INT32", repetition_type: "REQUIRED" }];
  const parquet = new ParquetWriter({ writer, schema });
  if (rows.length > 0) parquet.write({ columnData: [{ name: "id", data: rows, type: "INT32" }] });
  parquet.finish();
  return new Uint8Array(writer.getBuffer());
}
function readBack(file) {
  try { return `read: ${readParquet(file).numBatches} batches`; } catch (error) { return `refused: ${error?.message ?? error}`; }
}
const one = readBack(fileOf(Int32Array.of(7)));
const none = readBack(fileOf(Int32Array.of()));
console.log(`one row: ${one}\nno rows: ${none}`);
process.exit(one.startsWith("read") && none.startsWith("refused") ? 0 : 1);
JS
timeout 60 node empty.mjs
