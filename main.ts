import { signalWarnings } from "./src/server/stray_signals.ts";

// Loading takes a while, and a stray signal must not end the process meanwhile.
const [
  { errorOutput, FLUSH_MS, systemOf },
  { directFetch },
  { interruptSignal, keyboard, screenOfStdout },
  { migrateAll, openOffline },
  { runProgram },
  { examine },
  { serve },
  { work },
] = await Promise.all([
  import("./src/server/system.ts"),
  import("./src/cli/direct_fetch.ts"),
  import("./src/cli/screen.ts"),
  import("./src/server/offline.ts"),
  import("./src/cli/program.ts"),
  import("./src/server/doctor/examination.ts"),
  import("./src/server/serve.ts"),
  import("./src/server/workers/worker.ts"),
]);

const source = {
  env: (name: string) => Deno.env.get(name),
  names: Object.keys(Deno.env.toObject()),
  readFile: (path: string) => Deno.readTextFileSync(path),
};
const system = systemOf(source);
const encoder = new TextEncoder();
/** Commands may wait for the reader of stderr; a proxy may not. */
const errors = Deno.args[0] === "serve" ? errorOutput() : null;

/** A pipe may take a part at a time. */
function writeNow(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}

const code = await runProgram(Deno.args, {
  ...system,
  source,
  stdout: (text) => writeNow(encoder.encode(text)),
  stderr: (text) => errors === null ? void Deno.stderr.writeSync(encoder.encode(text)) : errors.write(text),
  writeOut: writeAll,
  isTerminal: () => Deno.stderr.isTerminal(),
  screen: screenOfStdout,
  interrupted: interruptSignal,
  keyboard,
  fetch: directFetch,
  runtime: `Deno ${Deno.version.deno}`,
  serve: (config) => serve({ ...config, warnings: [...config.warnings, ...signalWarnings] }, system),
  work: () => work({ ...system, input: Deno.stdin.readable, output: writeAll }),
  examine: () => examine({ source, now: system.now, madeUp: `doctor-${system.newId()}` }),
  migrate: migrateAll,
  openOffline,
});
await errors?.flush(FLUSH_MS);
// All is recorded and closed. Nothing closes the connection of a client that has stopped reading.
Deno.exit(code);
