import assert from "node:assert/strict";
import { exists, listFiles, read } from "./tree.ts";
import { environmentNames, SETTINGS } from "../src/config/settings.ts";
import { VERSION } from "../src/server/version.ts";
import { FLOORS } from "../tools/house_lint.ts";

const MAX_LINES = 400;
const DENO_VERSION = "2.9.6";
const FORBIDDEN_NAME = /^(util|helper|common|misc|base|manager|service|type|utilities)s?$/;
const IS_TEXT =
  /\.(ts|tsx|md|json|jsonc|sql|sh|yml|yaml|service|example|html|css)$|(^|\/)(Dockerfile|LICENSE|run|\.dockerignore|\.gitignore)$/;
/** Written apart so that this file does not trip over itself. */
const FORBIDDEN_TEXT = ["/wo" + "rk/", "/ro" + "ot/", "/tmp/" + "bin", "registry." + "npmjs", "jsr" + ".io"];

/** The others have what only tests download. */
const DENO_JSON_FOLDERS = ["", "tests/embedded_postgres/", "tests/client_sdks/"];

/** Tests that wait without `waitFor`, and what ends the wait. */
const BOUNDED_OTHERWISE: Readonly<Record<string, string>> = {
  "src/async/deadline_test.ts": "the test of delay() itself: 10 ms",
  "src/call/journey_test.ts": "20 turns of the event loop, in which nothing may happen",
  "src/call/passthrough_test.ts": "20 turns of the event loop, in which nothing may happen",
  "src/stores/shipping/cached_tokens_test.ts": "one turn of the event loop",
  "src/wire/first_element_test.ts": "measures turns of the event loop until the work ends",
  "tests/chaos/calls.ts": "how long the fake upstream takes, at most some hundred milliseconds",
  "tests/conformance/retry_laws.ts": "the rows to send become fewer in each round",
  "tests/conformance/samples.ts": "has a deadline of its own",
  "tests/conformance/sqlite_embedded_test.ts": "fails after ATTEMPT_MS",
  "tests/conformance/sqlite_ledger_test.ts": "measures turns of the event loop for a given time",
  "tests/conformance/store_laws.ts": "the rows to send become fewer in each round",
  "tests/fake_upstream_test.ts": "each read has a deadline",
  "tests/journeys/spool_bound_test.ts": "fails after MOST_CALLS calls",
  "tests/postgres_process.ts": "reads a pipe to its end, which comes when the child is gone",
  "tests/postgres_server_test.ts": "a program in a text, which the test kills",
  "tests/wait.ts": "waitFor() itself",
};

const files = listFiles("");
const sources = files.filter((path) => path.startsWith("src/"));

Deno.test("the house has no file over 400 lines in src", () => {
  const long = sources.filter((path) => read(path).trimEnd().split("\n").length > MAX_LINES);
  assert.deepEqual(long, []);
});

Deno.test("the house names no file and no folder after nothing in particular", () => {
  const ours = files.filter((path) => !path.startsWith("tests/fixtures/"));
  const vague = ours.filter((path) => path.split("/").some((part) => FORBIDDEN_NAME.test(part.replace(/(_test)?\.\w+$/, ""))));
  assert.deepEqual(vague, []);
});

Deno.test("the house names its TypeScript files and their folders in snake_case", () => {
  const odd = files.filter((path) => /\.tsx?$/.test(path) && !/^([a-z][a-z0-9_]*\/)*[a-z][a-z0-9_]*\.tsx?$/.test(path));
  assert.deepEqual(odd, []);
});

Deno.test("the house has only rooms that stand on a floor", () => {
  const rooms = new Set(sources.map((path) => path.split("/")[1]!));
  assert.deepEqual([...rooms].filter((room) => FLOORS[room] === undefined), []);
});

Deno.test("the house tests no source file that is not there", () => {
  const orphans = sources.filter((path) => path.endsWith("_test.ts")).filter((path) => {
    const stem = path.replace(/_test\.ts$/, "");
    return !files.includes(`${stem}.ts`) && !files.includes(`${stem}.tsx`);
  });
  assert.deepEqual(orphans, []);
});

Deno.test("the house loads the packages of OpenTelemetry only if there is telemetry", () => {
  const outside = sources.filter((path) => !path.startsWith("src/telemetry/otel/"));
  const eager = /^(?:import|export) [^;]*from "[^"]*\/otel\//m;
  assert.deepEqual(outside.filter((path) => eager.test(read(path))), []);
  assert.deepEqual(outside.filter((path) => read(path).includes("/otel/start.ts")), ["src/server/instruments.ts"]);
});

Deno.test("the house pairs its migrations by name and numbers them without a gap", () => {
  const namesOf = (kind: string) =>
    files.filter((path) => path.startsWith(`migrations/${kind}/`)).map((path) => path.split("/")[2]!).sort();
  const sqlite = namesOf("sqlite");
  const postgres = namesOf("postgres");
  assert.notEqual(sqlite.length, 0);
  sqlite.forEach((name, index) => assert.match(name, new RegExp(`^${String(index + 1).padStart(4, "0")}_[a-z0-9_]+\\.sql$`)));
  if (postgres.length > 0) assert.deepEqual(postgres, sqlite);
});

Deno.test("the documents name no setting that the code does not read", () => {
  const known = [...environmentNames()];
  for (
    const path of [
      "README.md",
      "ARCHITECTURE.md",
      "CONTRIBUTING.md",
      "Dockerfile",
      "deploy/llmproxy.service",
      "deploy/llmproxy.env.example",
    ]
  ) {
    // The wildcards that prose writes, such as LLMPROXY_*, end with an underscore here.
    const words = read(path).match(/\b(LLMPROXY|ANTHROPIC)_[A-Z_]+\b/g) ?? [];
    const strange = words.filter((word) => !known.includes(word) && !OTHERS_SETTINGS.includes(word) && !word.endsWith("_"));
    assert.deepEqual(strange, [], path);
  }
});

/** Set in a sandbox for its client, or for the tests, not for the proxy. */
const OTHERS_SETTINGS = ["ANTHROPIC_MODEL", "ANTHROPIC_CUSTOM_HEADERS"];

Deno.test("ARCHITECTURE.md names every room of src", () => {
  const text = read("ARCHITECTURE.md");
  const rooms = new Set(sources.map((path) => path.split("/")[1]!));
  assert.deepEqual([...rooms].filter((room) => !new RegExp(`\\b${room}/`).test(text)), []);
});

Deno.test("every document links only to files that are there", () => {
  for (const path of files.filter((name) => name.endsWith(".md") && !name.startsWith("tests/fixtures/"))) {
    const targets = [...read(path).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map((match) => match[1]!);
    const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
    const broken = targets.filter((target) => !exists(folder + target));
    assert.deepEqual(broken, [], path);
  }
});

Deno.test("decision 0001 says of every dependency why it is there", () => {
  const text = read("docs/decisions/0001-dependencies.md");
  const packages = Object.values(imports()).map((target) => target.match(/^npm:((?:@[^/]+\/)?[^@/]+)/)?.[1] ?? target);
  assert.deepEqual(packages.filter((name) => !text.includes(name)), []);
});

Deno.test("deno.json takes its dependencies from npm alone, each in one exact version", () => {
  for (const [name, target] of Object.entries(imports())) {
    assert.match(target, /^npm:(@[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+(-[\w.]+)?$/, name);
  }
  for (const folder of DENO_JSON_FOLDERS) {
    const locked = JSON.parse(read(`${folder}deno.lock`));
    assert.deepEqual([locked.jsr, locked.remote], [undefined, undefined]);
    assert.equal(denoJson(folder).lock.frozen, true);
  }
  assert.ok(!exists("package.json"), "with a package.json, npx deno task runs the npm shim as JavaScript");
});

Deno.test("deno.json and the program agree on the version", () => {
  assert.equal(denoJson().version, VERSION);
});

Deno.test("the house pins Deno to one version in every file that names it", () => {
  for (const path of ["README.md", "Dockerfile", ".ci/run"]) {
    const versions = [...read(path).matchAll(/\bdeno[@ ]v?(\d+\.\d+(?:\.\d+)?)/gi)].map((match) => match[1]!);
    assert.notEqual(versions.length, 0, path);
    assert.deepEqual(new Set(versions), new Set([DENO_VERSION]), path);
  }
});

Deno.test("the house speaks of no machine that it was built on", () => {
  for (const path of files.filter((name) => IS_TEXT.test(name))) {
    const text = read(path);
    assert.deepEqual(FORBIDDEN_TEXT.filter((word) => text.includes(word)), [], path);
  }
});

Deno.test("the hardened unit gives a drain the time that the defaults ask for", () => {
  const stop = Number(read("deploy/llmproxy.service").match(/^TimeoutStopSec=(\d+)$/m)?.[1]);
  const drain = Number(SETTINGS.LLMPROXY_DRAIN_LEAD_SECONDS.default) + Number(SETTINGS.LLMPROXY_DRAIN_SECONDS.default);
  assert.ok(stop > drain + 10, `${stop} s against ${drain} s`);
});

Deno.test("the README's installation looks for the key's file that the unit asks for", () => {
  const [, path] = /^LoadCredential=[\w-]+:(\S+)$/m.exec(read("deploy/llmproxy.service"))!;
  assert.match(read("README.md"), new RegExp(`sudo test -s ${path} && .*enable --now llmproxy`));
});

Deno.test("the house sleeps in no test, and gives every wait in a test a deadline", () => {
  const tests = files.filter((path) => /\.ts$/.test(path) && (path.startsWith("tests/") || path.endsWith("_test.ts")));
  const waits = tests.filter((path) => !(path in BOUNDED_OTHERWISE)).flatMap((path) =>
    read(path).split("\n").flatMap((line, index) => waitsWithoutDeadline(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])
  );
  assert.deepEqual(waits, [], "use waitFor() of tests/wait.ts, or say in BOUNDED_OTHERWISE what ends the wait");
});

Deno.test("BOUNDED_OTHERWISE names only files that wait without a deadline", () => {
  const stale = Object.keys(BOUNDED_OTHERWISE).filter((path) => !read(path).split("\n").some(waitsWithoutDeadline));
  assert.deepEqual(stale, []);
});

Deno.test("waitsWithoutDeadline() knows a sleep and a loop of awaits from a loop that works until nothing is left", () => {
  const [until, sleeps] = ["wh" + "ile (", "await new Pro" + "mise((resolve) => setTimeout(resolve, 5));"];
  for (const line of [sleeps, `${until}!isThere) await turn();`, `${until}await isAway());`, `${until}!(await isThere())) {`]) {
    assert.equal(waitsWithoutDeadline(line), true, line);
  }
  for (const line of [`${until}await store.dropMonths(0)) continue;`, `${until}rows.length > 0) send(rows);`]) {
    assert.equal(waitsWithoutDeadline(line), false, line);
  }
});

/** A bare sleep, or a loop that awaits something until a condition holds, in one line of a test. */
function waitsWithoutDeadline(line: string): boolean {
  if (/while \(.*\bcontinue;/.test(line)) return false;
  return /\bwhile \([^\n]*\bawait\b/.test(line) || /await new Promise\(.*setTimeout/.test(line) ||
    /await (sleep|delay)\(/.test(line);
}

interface DenoJson {
  readonly version: string;
  readonly imports: Readonly<Record<string, string>>;
  readonly lock: { readonly frozen: boolean };
}

function denoJson(folder = ""): DenoJson {
  return JSON.parse(read(`${folder}deno.json`));
}

function imports(): Readonly<Record<string, string>> {
  return Object.assign({}, ...DENO_JSON_FOLDERS.map((folder) => denoJson(folder).imports));
}
