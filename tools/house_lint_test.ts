import assert from "node:assert/strict";
import plugin, { FLOORS } from "./house_lint.ts";

interface Case {
  readonly rule: keyof typeof plugin.rules;
  readonly file: string;
  readonly trips: readonly string[];
  readonly passes: readonly string[];
}

const CASES: readonly Case[] = [
  {
    rule: "floors",
    file: "src/domain/usage.ts",
    trips: [
      `import { scan } from "../wire/scan.ts";`,
      `import { z } from "zod";`,
      `import { Buffer } from "node:buffer";`,
      `export { scan } from "../wire/scan.ts";`,
      `type Tap = import("../wire/tap.ts").Tap;`,
    ],
    passes: [`import type { Trace } from "./trace.ts";`],
  },
  {
    rule: "floors",
    file: "src/wire/tap.ts",
    trips: [
      `import type { Part } from "../domain/provider.ts";`,
      `import Anthropic from "@anthropic-ai/sdk";`,
      `import { readFileSync } from "node:fs";`,
      `import { z } from "npm:zod@4";`,
      `const late = await import("../call/journey.ts");`,
    ],
    passes: [`import { createParser } from "eventsource-parser";`, `import { createGunzip } from "node:zlib";`],
  },
  {
    rule: "floors",
    file: "src/call/journey.ts",
    trips: [
      `import { anthropic } from "../providers/anthropic.ts";`,
      `import { proxyApp } from "../http/proxy.ts";`,
      `import { Hono } from "hono";`,
      `import { start } from "../../main.ts";`,
      `import { fake } from "../../tests/fake_upstream.ts";`,
    ],
    passes: [`import { Fault } from "../domain/fault.ts";`, `import { tap } from "../wire/tap.ts";`],
  },
  {
    rule: "floors",
    file: "src/stores/sqlite/ledger.ts",
    trips: [`import postgres from "postgres";`, `import { tokensOf } from "../../identity/local_tokens.ts";`],
    passes: [`import { DatabaseSync } from "node:sqlite";`, `import type { Ledger } from "../../domain/ledger.ts";`],
  },
  {
    rule: "floors",
    file: "src/stores/postgres/store.ts",
    trips: [`import { DatabaseSync } from "node:sqlite";`],
    passes: [`import postgres from "postgres";`],
  },
  {
    rule: "floors",
    file: "src/http/proxy.ts",
    trips: [`import { tap } from "../wire/tap.ts";`, `import { Counter } from "prom-client";`],
    passes: [`import { Hono } from "hono";`, `import { jsx } from "hono/jsx";`],
  },
  {
    rule: "floors",
    file: "src/http/proxy_test.ts",
    trips: [`import { ledger } from "../stores/sqlite/ledger.ts";`],
    passes: [`import { fake } from "../../tests/fake_upstream.ts";`, `import assert from "node:assert/strict";`],
  },
  { rule: "floors", file: "src/attic/box.ts", trips: [`export const box = 1;`], passes: [] },
  {
    rule: "pure-rooms",
    file: "src/providers/anthropic.ts",
    trips: [
      `fetch("http://x");`,
      `Deno.readTextFileSync("x");`,
      `new Worker("x");`,
      `globalThis.fetch("http://x");`,
      `setTimeout(f, 1);`,
    ],
    passes: [`const cost = JSON.parse("1");`, `reader.fetch(1);`],
  },
  {
    rule: "no-ambient",
    file: "src/call/journey.ts",
    trips: [
      `Deno.env.get("X");`,
      `Deno.serve(() => new Response());`,
      `Deno.addSignalListener("SIGTERM", () => {});`,
      `Deno.dlopen("libc.so.6", {});`,
      `const at = Date.now();`,
      `const clock = Date.now;`,
      `const at = Date["now"]();`,
      `const at = new Date();`,
      `const at = Date();`,
      `const x = Math.random();`,
      `const id = crypto.randomUUID();`,
      `crypto.getRandomValues(bytes);`,
      `const t = performance.now();`,
      `const t = globalThis.performance.now();`,
      `const { now } = performance;`,
      `import { randomBytes } from "node:crypto";`,
    ],
    passes: [
      `const at = new Date(1);`,
      `const at = Date.parse("x");`,
      `const t = clock.now();`,
      `import { createHash } from "node:crypto";`,
    ],
  },
  {
    rule: "no-default-export",
    file: "src/wire/tap.ts",
    trips: [`export default 1;`, `const a = 1; export { a as default };`],
    passes: [`export const a = 1;`],
  },
  {
    rule: "no-barrel",
    file: "src/wire/tap.ts",
    trips: [`export * from "./body.ts";`, `export * as body from "./body.ts";`],
    passes: [`export const a = 1;`],
  },
  {
    rule: "no-top-level-arrow",
    file: "src/wire/tap.ts",
    trips: [`const f = () => 1;`, `export const f = () => 1;`, `const f = function () {};`, `const f = ((a) => a) satisfies F;`],
    passes: [
      `function f() { const g = () => 1; return g; }`,
      `const TABLE = { a: () => 1 };`,
      `const decoder = new TextDecoder();`,
    ],
  },
  {
    rule: "few-positionals",
    file: "src/wire/tap.ts",
    trips: [
      `export function f(a: string, b: string, c: string, d: string) {}`,
      `export function f(a: string, b: string, c: F, d: F, e: F) {}`,
      `export async function f(a: string, b: string, c: string, d: () => void) {}`,
    ],
    passes: [
      `export function f(a: string, b: string, c: string) {}`,
      `export function f(a: string, b: string, c: string, options: Options) {}`,
      `export function f(a: string, b: string, c: string, { d }: { d: string }) {}`,
      `export function f(a: string, b: string, c: string, options: { d: string } = { d: "" }) {}`,
      `function f(a: string, b: string, c: string, d: string) {}`,
    ],
  },
  {
    rule: "no-context-set",
    file: "src/http/proxy.ts",
    trips: [`app.get("/", (c) => { c.set("sandbox", 1); });`, `app.get("/", (ctx) => { ctx.set("sandbox", 1); });`],
    passes: [`headers.set("a", "b");`, `c.res.headers.set("a", "b");`],
  },
  {
    rule: "no-iterate",
    file: "src/stores/sqlite/ledger.ts",
    trips: [
      `for (const row of statement.iterate(1)) use(row);`,
      `const rows = [...database.prepare("SELECT 1")["iterate"]()];`,
      `const rows = statement?.iterate();`,
      `const each = statement.iterate.bind(statement);`,
      `const { iterate } = statement;`,
      `const { iterate: rows } = statement;`,
    ],
    passes: [`const rows = statement.all(1);`, `iterate(statement);`, `for (const row of rows) use(row);`],
  },
];

for (const { rule, file, trips, passes } of CASES) {
  Deno.test(`house/${rule} trips in ${file} on what it forbids`, () => {
    for (const source of trips) assert.ok(idsOf(file, source).includes(`house/${rule}`), `did not trip: ${source}`);
  });

  Deno.test(`house/${rule} lets pass in ${file} what it allows`, () => {
    for (const source of passes) assert.deepEqual(idsOf(file, source), [], source);
  });
}

Deno.test("house_lint has a case that trips and one that passes for each of its rules", () => {
  for (const rule of Object.keys(plugin.rules)) {
    assert.ok(CASES.some((row) => row.rule === rule && row.trips.length > 0), rule);
    assert.ok(CASES.some((row) => row.rule === rule && row.passes.length > 0), rule);
  }
});

Deno.test("house/no-ambient leaves src/cli, tests and files outside of src alone", () => {
  for (
    const file of [
      "src/cli/serve.ts",
      "src/call/journey_test.ts",
      "main.ts",
      "tests/journeys/a_test.ts",
      "bench/end_to_end.ts",
    ]
  ) {
    assert.deepEqual(idsOf(file, `const at = Date.now();`), [], file);
  }
});

Deno.test("house_lint finds the room of a file by its absolute path too", () => {
  assert.deepEqual(idsOf("/home/someone/llmproxy/src/wire/tap.ts", `import { Hono } from "hono";`), ["house/floors"]);
});

Deno.test("FLOORS has no arrow upwards and none among strangers", () => {
  const height: Record<string, number> = { domain: 1, async: 1, call: 3, batches: 3, http: 4, config: 5, server: 5, cli: 5 };
  for (const [room, below] of Object.entries(FLOORS)) {
    for (const other of below) {
      const [mine, theirs] = [height[room] ?? 2, height[other] ?? 2];
      // The rooms of the top floor know one another.
      assert.ok(theirs < mine || (theirs === 5 && mine === 5), `${room} -> ${other}`);
    }
  }
});

function idsOf(file: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, file, source).map((diagnostic) => diagnostic.id);
}
