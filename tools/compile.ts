/**
 * `deno task compile`: makes the executable `llmproxy`, with every file that it reads at run time.
 * Arguments such as `--target` go to `deno compile`.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Read at run time: the migrations, and the modules that Workers run. */
const INCLUDED = [
  "migrations",
  "src/stores/sqlite/worker.ts",
  "src/stores/shipping/worker.ts",
  "src/server/reprice_worker.ts",
  "src/server/export_worker/worker.ts",
];

const ROOT = join(import.meta.dirname!, "..");
const OUTPUT = "llmproxy";

const compiling = new Deno.Command(Deno.execPath(), {
  args: [
    "compile",
    "--allow-all",
    "--exclude-unused-npm",
    ...INCLUDED.flatMap((path) => ["--include", path]),
    ...[samplesOfBintrees(), ...unstableConventions(), ...modulesForBundlers()].flatMap((path) => ["--exclude", path]),
    ...["--output", OUTPUT],
    ...Deno.args,
    "main.ts",
  ],
  cwd: ROOT,
}).spawn();
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => interrupt(signal));
const { code } = await compiling.status;
removeHalfMade();
Deno.exit(code);

function interrupt(signal: Deno.Signal): void {
  try {
    compiling.kill(signal);
  } catch {
    // The terminal sent the signal to it, too, and it has ended.
  }
}

/** `deno compile` writes to a file beside its output and leaves it there if it is interrupted. */
function removeHalfMade(): void {
  for (const { name } of Deno.readDirSync(ROOT)) {
    if (name.startsWith(`${OUTPUT}.tmp-`)) Deno.removeSync(join(ROOT, name));
  }
}

/**
 * prom-client's bintrees ships test data without a file extension: 100,000 lines that each begin
 * with a number or a minus. `deno compile` (2.9.6) reads every file of a package as JavaScript,
 * takes the data for one expression and overflows its stack.
 */
function samplesOfBintrees(): string {
  const fromPromClient = createRequire(createRequire(import.meta.url).resolve("prom-client"));
  const fromTdigest = createRequire(fromPromClient.resolve("tdigest"));
  return join(dirname(fromTdigest.resolve("bintrees")), "test");
}

/**
 * Names that the conventions of OpenTelemetry may still change: 9 MB which no package of ours
 * loads.
 */
function unstableConventions(): readonly string[] {
  const folder = dirname(createRequire(import.meta.url).resolve("@opentelemetry/semantic-conventions"));
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
  return names.filter((name) => /^(experimental_|index-incubating)/.test(name)).map((name) => join(folder, name));
}

/** Of AWS's packages, 3 MB: Deno loads their CommonJS. */
function modulesForBundlers(): readonly string[] {
  const core = createRequire(import.meta.url).resolve("@smithy/core/event-streams");
  const registry = core.slice(0, core.lastIndexOf("/@smithy/"));
  const packages = ["@smithy", "@aws-sdk"].flatMap((scope) => foldersOf(join(registry, scope)));
  return packages.flatMap(foldersOf).flatMap((version) => [join(version, "dist-es"), join(version, "dist-types")]);
}

function foldersOf(folder: string): readonly string[] {
  return [...Deno.readDirSync(folder)].filter(({ isDirectory }) => isDirectory).map(({ name }) => join(folder, name));
}
