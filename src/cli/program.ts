import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { isEmptySpan } from "../domain/calendar.ts";
import { wordsOf } from "../domain/unavailable.ts";
import { backupCommand } from "./backup.ts";
import { loadConfigFromEnv } from "../config/config.ts";
import { ConfigProblems, SettingsRefused } from "../config/settings_reader.ts";
import { exportCommand } from "./export.ts";
import { healthCommand } from "./health.ts";
import { importCommand } from "./import.ts";
import { migrateCommand } from "./migrate.ts";
import { type CliSystem, configSourceOf } from "./system.ts";
import { pricesCommand } from "./prices.ts";
import { repriceCommand } from "./reprice.ts";
import { reshipCommand } from "./reship.ts";
import { createTokenCommand, listTokensCommand, parseDuration, revokeTokenCommand, type TokenOptions } from "./token.ts";
import { VERSION } from "../server/version.ts";

const ID = /^[\x21-\x7e]{1,128}$/;
const HELP_WIDTH = 110;
const EXAMPLES = `
Examples:
  ANTHROPIC_API_KEY=… llmproxy serve                            start with an embedded database in ./data
  llmproxy token create --workspace acme --sandbox sb-1         make a token that does not expire
  llmproxy token create --workspace acme --sandbox sb-1 --expires 30d --json
  llmproxy token list --workspace acme
  llmproxy token revoke lt-01JZ…
  llmproxy export --format csv --since 30d --output usage.csv   every call of the last 30 days
  llmproxy backup /backup/llmproxy.db                           while the proxy runs
  llmproxy import --from postgres://user@host/agentserver       once, or again for what has come since
  llmproxy reship --since 2h                                    after the shared database lost its last rows
  llmproxy prices claude-haiku-5-5                              what a model costs, or how to add its price
  llmproxy reprice --since 30d --dry-run                        what other prices would change; without --dry-run, does it
  llmproxy health --ready                                       exit code 0 where calls can be served and recorded

Settings are environment variables; the README names every one. Exit codes: 1 it failed, 2 it was asked wrongly.
`;

/**
 * Runs the command line and resolves to the exit code: 0, 1 where the command failed, 2 where the command line or the
 * settings are wrong, or what `serve` gives. Never rejects.
 */
export async function runProgram(args: readonly string[], system: CliSystem): Promise<number> {
  const outcome = { code: 0 };
  try {
    await programOf(system, outcome).parseAsync([...args], { from: "user" });
    return outcome.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof ConfigProblems) {
      for (const problem of error.problems) system.stderr(`${problem}\n`);
      return 2;
    }
    system.stderr(`${wordsOf(error)}\n`);
    return error instanceof SettingsRefused ? 2 : 1;
  }
}

function programOf(system: CliSystem, outcome: { code: number }): Command {
  const program = new Command("llmproxy")
    .description("A metering proxy between coding-agent sandboxes and the Anthropic API")
    .version(VERSION, "-V, --version")
    .exitOverride()
    .configureOutput({
      writeOut: system.stdout,
      writeErr: system.stderr,
      getOutHelpWidth: () => HELP_WIDTH,
      getErrHelpWidth: () => HELP_WIDTH,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText("after", EXAMPLES);

  program.command("serve").description("serve until SIGTERM or SIGINT").action(async () => {
    outcome.code = await system.serve(loadConfigFromEnv(configSourceOf(system)));
  });
  program.command("migrate").description("bring the databases up to this program, without serving").action(() =>
    migrateCommand(system)
  );
  addTokenCommands(program, system);
  program.command("reship").description(
    "ship what this replica recorded to the shared database once more; what is there counts once",
  )
    .requiredOption(
      "--since <time>",
      "a time by RFC 3339 such as 2026-01-31T12:00:00Z, or how long ago, such as 45m or 12h",
      (text) => readSince(text, system.now()),
    )
    .action(async ({ since }, command: Command) => {
      refuseEmptySpan(command, since, { until: null, now: system.now() });
      await reshipCommand(system, { since });
    });
  program.command("prices").description("print the prices that the settings put in force, the operators' own included")
    .argument("[model]", "only those of that model, as an answer names it")
    .option("--json", "print JSON")
    .action((model: string | undefined, { json }) => pricesCommand(system, { model: model ?? null, json: json === true }));
  addRepriceCommand(program, system);
  addTakingOut(program, system);
  program.command("health").description("ask the proxy on this machine whether it lives")
    .option("--ready", "whether it can serve and record calls, too")
    .action((options) => healthCommand(system, { ready: options.ready === true }));
  program.command("version").description("print the version").action(() =>
    system.stdout(`llmproxy ${VERSION} (${system.runtime})\n`)
  );
  return program;
}

function addRepriceCommand(program: Command, system: CliSystem): void {
  program.command("reprice").description("price recorded rows anew by the running proxy's prices, and show the difference")
    .requiredOption("--since <time>", "rows from then on: RFC 3339, or how long ago", (text) => readSince(text, system.now()))
    .option("--until <time>", "rows before then; without it, up to now", (text) => readSince(text, system.now()))
    .option("--dry-run", "change nothing: show what would change")
    .option("--rows", "print each row that changes, as a line of JSON")
    .option("--json", "print JSON, as the admin API writes it")
    .action(async ({ since, until = null, dryRun, rows, json }, command: Command) => {
      refuseEmptySpan(command, since, { until, now: system.now() });
      await repriceCommand(system, { since, until, isDryRun: dryRun === true, rows: rows === true, json: json === true });
    });
}

function addTokenCommands(program: Command, system: CliSystem): void {
  const token = program.command("token").description("local tokens: create (shown once), list, revoke");
  withCommonOptions(token.command("create").description("make a token for one sandbox and print it"))
    .requiredOption("--workspace <id>", "the workspace that is charged", readId)
    .requiredOption("--sandbox <id>", "the sandbox that will hold the token", readId)
    .option("--expires <duration>", "such as 90s, 45m, 12h or 30d; without it, never", readDuration)
    .action(({ workspace, sandbox, expires = null, ...flags }) =>
      createTokenCommand(system, { workspace, sandbox, expires, ...commonOptionsOf(flags) })
    );
  withCommonOptions(token.command("list").description("list tokens, newest first; never the tokens themselves"))
    .option("--workspace <id>", "only those of that workspace", readId)
    .action(({ workspace = null, ...flags }) => listTokensCommand(system, { workspace, ...commonOptionsOf(flags) }));
  withCommonOptions(token.command("revoke").description("revoke a token by its id"))
    .argument("<id>", "as create and list show it")
    .action((id: string, flags) => revokeTokenCommand(system, id, commonOptionsOf(flags)));
}

function addTakingOut(program: Command, system: CliSystem): void {
  const time = (text: string) => readSince(text, system.now());
  program.command("export").description("write every closed row of a time, for whoever pays, to stdout or into a file")
    .addOption(new Option("--format <format>", "of the file").choices(["csv", "ndjson", "parquet"]).makeOptionMandatory())
    .option("--since <time>", "rows admitted from then on, such as 2026-01-31T12:00:00Z or 30d; without it, from the first", time)
    .option("--until <time>", "rows admitted before then; without it, up to now", time)
    .option("--workspace <id>", "only those of that workspace", readId)
    .option("--sandbox <id>", "only those of that sandbox", readId)
    .option("--output <file>", "a file, which is there whole or not at all; without it, stdout")
    .action(async ({ format, since = null, until = null, workspace = null, sandbox = null, output = null }, command: Command) => {
      refuseEmptySpan(command, since, { until, now: system.now() });
      await exportCommand(system, { format, since, until, workspace, sandbox, output });
    });
  program.command("backup").description("copy the embedded database of the running proxy into one file, and check it")
    .argument("<file>", "where to; replaced where it is there, once the new one is whole and sound")
    .action((file: string) => backupCommand(system, file));
  program.command("import").description("take over what the Go program recorded; what is there already counts once")
    .requiredOption("--from <url>", "its database, postgres://…, or a file that holds that URL")
    .option("--offline", "work on the data directory of a proxy that does not run")
    .action(({ from, offline }) => importCommand(system, { from, offline: offline === true }));
}

function withCommonOptions(command: Command): Command {
  return command
    .option("--offline", "work on the data directory of a proxy that does not run")
    .option("--json", "print JSON, as the admin API writes it");
}

function commonOptionsOf(flags: Readonly<Record<string, unknown>>): TokenOptions {
  return { offline: flags.offline === true, json: flags.json === true };
}

function readDuration(text: string): number | null {
  const duration = parseDuration(text);
  if (duration === undefined) throw new InvalidArgumentError("Expected a duration such as 90s, 45m, 12h or 30d, or never.");
  return duration;
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

function readSince(text: string, now: number): number {
  const time = RFC3339.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  const ago = parseDuration(text);
  if (typeof ago === "number") return now - ago;
  throw new InvalidArgumentError(
    "Expected a time with its seconds, such as 2026-01-31T12:00:00Z, or how long ago, such as 45m or 12h.",
  );
}

/** The proxy refuses it too, but says so in the words of its own API. */
function refuseEmptySpan(
  command: Command,
  since: number | null,
  { until, now }: { readonly until: number | null; readonly now: number },
): void {
  if (since === null || !isEmptySpan(since, until ?? now)) return;
  command.error(
    `error: the time from --since to ${until === null ? "now" : "before --until"} is empty: --since has to be the earlier`,
  );
}

function readId(text: string): string {
  if (!ID.test(text)) throw new InvalidArgumentError("Expected 1 to 128 visible ASCII characters.");
  return text;
}
