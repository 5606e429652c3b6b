/**
 * `deno task compile`: makes the executable `llmproxy` with all files that it reads at run time.
 * Passes arguments such as `--target` to `deno compile`.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Read at run time: the migrations, and the modules of Workers. */
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
    ...["--exclude", samplesOfBintrees()],
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
    // The terminal has sent the signal to it, too.
  }
}

/** `deno compile` writes to a file beside its output, and leaves it if it is interrupted. */
function removeHalfMade(): void {
  for (const { name } of Deno.readDirSync(ROOT)) {
    if (name.startsWith(`${OUTPUT}.tmp-`)) Deno.removeSync(join(ROOT, name));
  }
}

/**
 * prom-client's bintrees has test data without a file extension: 100,000 lines that begin with a
 * number or a minus. `deno compile` (2.9.6) reads every file of a package as JavaScript, takes that
 * for one expression and overflows its stack.
 */
function samplesOfBintrees(): string {
  const fromPromClient = createRequire(createRequire(import.meta.url).resolve("prom-client"));
  const fromTdigest = createRequire(fromPromClient.resolve("tdigest"));
  return join(dirname(fromTdigest.resolve("bintrees")), "test");
}
