#!/usr/bin/env bash
# Seen on 2026-11-28 with @duckdb/node-api 1.5.6-r.1 (DuckDB 1.5.6) on Node 20.
#
# Behaviour: DuckDB reads decimal numbers in a CSV file as DOUBLE, so their sum is not exact. In
# its SQL the same number, written as a literal, is a DECIMAL.
# Output seen: "from CSV: DOUBLE, sum 0.10050050000000002", "with a type: sum 0.100500500", "the
# literal 0.000100001: DECIMAL(10,9)".
# Expected: numbers that fit a DECIMAL are one wherever they stand, or the sum is rounded.
# Hurts: everyone who adds up costs from a CSV export and compares the sum with a bill. Name the
# type: read_csv(FILE, types = {'cost_usd': 'DECIMAL(18,9)'}).
# Exits 1 if the behaviour changes. Takes 70 MB of disk meanwhile.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @duckdb/node-api@1.5.6-r.1 >/dev/null
cat > sum.mjs <<'JS'
import { DuckDBInstance } from "@duckdb/node-api";
import { writeFileSync } from "node:fs";

const costs = Array.from({ length: 1_000 }, (_, n) => 100_001 + n);
writeFileSync("costs.csv", `cost_usd\n${costs.map((nanos) => `0.000${nanos}`).join("\n")}\n`);
const exact = `0.${String(costs.reduce((sum, nanos) => sum + nanos, 0)).padStart(9, "0")}`;
const connection = await (await DuckDBInstance.create(":memory:")).connect();
const ask = async (sql) => (await connection.runAndReadAll(sql)).getRowObjectsJson()[0];

const guessed = await ask("SELECT any_value(typeof(cost_usd)) AS type, sum(cost_usd) AS sum FROM 'costs.csv'");
const typed = await ask("SELECT sum(cost_usd) AS sum FROM read_csv('costs.csv', types = {'cost_usd': 'DECIMAL(18,9)'})");
const literal = await ask("SELECT typeof(0.000100001) AS type");
console.log(`from CSV: ${guessed.type}, sum ${guessed.sum}`);
console.log(`with a type: sum ${typed.sum}`);
console.log(`the literal 0.000100001: ${literal.type}`);
const isAsSeen = guessed.type === "DOUBLE" && String(guessed.sum) !== "0.1005005" && typed.sum === exact && literal.type.startsWith("DECIMAL");
process.exit(isAsSeen ? 0 : 1);
JS
timeout 60 node sum.mjs
