#!/usr/bin/env bash
# Seen on 2026-11-28 with hyparquet-writer 0.17.0 and parquet-wasm 0.8.0 (the Rust reader) on Node
# 20.
#
# Behaviour: hyparquet-writer writes a table without rows, and strict readers refuse the file.
# They read a table with one row.
# Output seen: "one row: read: 1 batches", "no rows: refused: Parquet error: Expected list element
# type of Struct but got Byte".
# Expected: every reader opens the file of an empty month and finds it empty.
# Hurts: everyone who exports by query and sometimes gets no rows. The job that reads the file
# fails.
# Exits 1 if the behaviour changes.
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
