import { Command, CommanderError, Option } from "commander";
import { loadConfigFromEnv } from "../config/config.ts";
import { ConfigProblems, SettingsRefused } from "../config/settings_reader.ts";
import { AUDIT_ACTIONS } from "../domain/audit.ts";
import { LIMIT_KINDS } from "../domain/limits.ts";
import { wordsOf } from "../domain/unavailable.ts";
import { EXPORT_FORMATS } from "../domain/usage_record.ts";
import { VERSION } from "../server/version.ts";
import { JSON_OUTPUT, OFFLINE, readDuration, readId, readTime, refuseEmptySpan, type Span, TIME_WORDS } from "./arguments.ts";
import { auditCommand } from "./audit.ts";
import { backupCommand } from "./backup.ts";
import { addDoctorCommand } from "./doctor.ts";
import { addExamples } from "./examples.ts";
import { EXIT } from "./exit_codes.ts";
import { exportCommand } from "./export.ts";
import { importCommand } from "./import.ts";
import { healthCommand, migrateCommand, reshipCommand } from "./operate.ts";
import { pricesCommand } from "./prices.ts";
import { clearQuotaCommand, getQuotaCommand, LIMIT_OPTIONS, setQuotaCommand } from "./quota.ts";
import { repriceCommand } from "./reprice.ts";
import { addRequestsCommands } from "./requests.ts";
import { resumeCommand, suspendCommand } from "./stops.ts";
import { type CliSystem, CommandFailure } from "./system.ts";
import { createTokenCommand, listTokensCommand, revokeTokenCommand } from "./token.ts";
import { addTailCommand } from "./tail.ts";
import { addTopCommand } from "./top.ts";
import { addTraceCommand } from "./trace.ts";
import { addTracesCommand } from "./traces.ts";
import { addUsageCommand } from "./usage.ts";

const HELP_WIDTH = 110;
const COMPLETE = "complete";
const OVERVIEW = `
Examples:
  ANTHROPIC_API_KEY=… llmproxy serve                            start with an embedded database in ./data
  llmproxy usage --since 30d --by workspace,model --order cost  show who spent what
  llmproxy traces --order cost --limit 10                       show the most expensive sessions
  llmproxy trace run-1                                          show its agents, calls and cache
  llmproxy token create --workspace acme --sandbox sb-1         make a token that does not expire
  llmproxy token create --workspace acme --sandbox sb-1 --expires 30d --json
  llmproxy token list --workspace acme
  llmproxy token revoke lt-01JZ…
  llmproxy suspend acme --reason "the budget is spent"          refuse its calls, and cut those that run
  llmproxy requests --workspace acme                            show the calls in flight
  llmproxy top                                                  watch them, and what was spent today
  llmproxy tail --workspace acme                                show calls as they end
  llmproxy quota set acme --cost-per-day 50 --concurrent 8
  llmproxy export --format csv --since 30d --output usage.csv   write every call of the last 30 days
  llmproxy export --format focus --since 30d --output focus.csv write charges by the hour, as FinOps FOCUS has them
  llmproxy backup /backup/llmproxy.db                           back up while the proxy runs
  llmproxy import --from postgres://user@host/agentserver       import once, or again to add new rows
  llmproxy reship --since 2h                                    if the shared database lost its latest rows
  llmproxy prices claude-haiku-5-5                              show what a model costs, or how to add its price
  llmproxy reprice --since 30d --dry-run                        show what the current prices would change
  llmproxy audit --since 7d                                     show who changed tokens and prices
  llmproxy health --ready                                       exit with 0 if calls can be served and recorded
  llmproxy doctor                                               check everything, and say what to do
  llmproxy complete bash                                        print completions for your shell

Settings are environment variables; docs/settings.md lists them. LLMPROXY_ADMIN_URL and
LLMPROXY_ADMIN_TOKEN lead to a proxy on another machine.
Tables are the same in a pipe, without colours; --json prints JSON.
Exit codes: 1 if the command failed, 2 if the command line or the settings are wrong, 3 if no proxy answers.
`;

/** Runs the command line and resolves to one of `EXIT`, or the code of `serve`. Never rejects. */
export async function runProgram(args: readonly string[], system: CliSystem): Promise<number> {
  const exit: { code: number } = { code: EXIT.done };
  try {
    // Loaded for its own command alone: no other one waits for it.
    const completions = args[0] === COMPLETE ? (await import("@bomb.sh/tab/commander")).default : null;
    await programOf(system, exit, completions).parseAsync([...args], { from: "user" });
    return exit.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.misused;
    // The reader of the output has what it wanted, as `head` does.
    if (error instanceof Deno.errors.BrokenPipe) return EXIT.done;
    if (error instanceof ConfigProblems) {
      for (const problem of error.problems) system.stderr(`${problem}\n`);
      return EXIT.misused;
    }
    system.stderr(`${wordsOf(error)}\n`);
    if (error instanceof CommandFailure) return error.exitCode;
    return error instanceof SettingsRefused ? EXIT.misused : EXIT.failed;
  }
}

/** All commands. `serve` sets the exit code. Without `completions`, `complete` only shows help. */
export function programOf(
  system: CliSystem,
  exit: { code: number },
  completions: ((program: Command) => unknown) | null = null,
): Command {
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
    .addHelpText("after", OVERVIEW);
  program.command("serve").description("serve until SIGTERM or SIGINT").action(async () => {
    exit.code = await system.serve(loadConfigFromEnv(system.source));
  });
  // A proxy with several workers runs it; it needs its parent's orders.
  program.command("worker", { hidden: true }).action(() => system.work());
  program.command("migrate").description("bring the databases up to this program's schema, without serving")
    .action(() => migrateCommand(system));
  addUsageCommand(program, system);
  addTracesCommand(program, system);
  addTraceCommand(program, system);
  addTailCommand(program, system);
  addTopCommand(program, system);
  addRequestsCommands(program, system);
  addTokenCommands(program, system);
  addQuotaCommands(program, system);
  addStopCommands(program, system);
  addRowCommands(program, system);
  addAuditCommand(program, system);
  program.command("prices").description("print the prices in force, the operators' own included")
    .argument("[model]", "only prices of this model, named as in an answer")
    .option("--json", "print JSON")
    .action((model, options) => pricesCommand(system, model, options));
  program.command("backup").description("copy the running proxy's database into one file, and check it")
    .argument("<file>", "the backup; an existing file is replaced once the new one is whole and sound")
    .action((file) => backupCommand(system, file));
  program.command("import").description("import what the Go program recorded; rows that are there already count once")
    .requiredOption("--from <url>", "its database, postgres://…, or a file that holds that URL")
    .option(...OFFLINE)
    .action((options) => importCommand(system, options));
  addDoctorCommand(program, system);
  program.command("health").description("check whether the proxy on this machine runs")
    .option("--ready", "check whether it can serve and record calls, too")
    .action((options) => healthCommand(system, options));
  program.command("version").description("print the version")
    .action(() => system.stdout(`llmproxy ${VERSION} (${system.runtime})\n`));
  if (completions === null) program.command(`${COMPLETE} [shell]`);
  else completions(program);
  program.commands.find((command) => command.name() === COMPLETE)!.description("print completions for a shell");
  addExamples(program);
  return program;
}

function addTokenCommands(program: Command, system: CliSystem): void {
  const token = program.command("token").description("local tokens: create (shown once), list, revoke");
  token.command("create").description("make a token for one sandbox and print it")
    .option(...OFFLINE)
    .option(...JSON_OUTPUT)
    .requiredOption("--workspace <id>", "the workspace that is charged", readId)
    .requiredOption("--sandbox <id>", "the sandbox that will hold the token", readId)
    .option("--expires <duration>", "90s, 45m, 12h or 30d from now; without it, never", readDuration)
    .action((options) => createTokenCommand(system, options));
  token.command("list").description("list tokens, newest first; never the tokens themselves")
    .option(...OFFLINE)
    .option(...JSON_OUTPUT)
    .option("--workspace <id>", "only tokens of this workspace", readId)
    .action((options) => listTokensCommand(system, options));
  token.command("revoke").description("revoke a token by its id")
    .option(...OFFLINE)
    .option(...JSON_OUTPUT)
    .argument("<id>", "as create and list show it")
    .action((id, options) => revokeTokenCommand(system, id, options));
}

/** The commands about limits. Without a workspace they are about the default. */
function addQuotaCommands(program: Command, system: CliSystem): void {
  const quota = program.command("quota").description("show or change limits: docs/limits.md");
  const at = (name: string, does: string) =>
    quota.command(name).description(does)
      .argument("[workspace]", "the workspace's id; without it, what holds for each workspace by default", readId)
      .option("--sandbox <id>", "of this sandbox of the workspace", readId)
      .option("--trace <id>", "of this session of the workspace", readId)
      .option(...JSON_OUTPUT);
  at("get", "show limits, and what is used of them").action((workspace, options) => getQuotaCommand(system, workspace, options));
  const set = at("set", "set limits; 0 is no limit whatever the default says, and none removes one");
  for (const { flag, kind } of LIMIT_OPTIONS) set.option(flag, LIMIT_KINDS[kind].words);
  set.action((workspace, { sandbox, trace, json, ...values }) =>
    setQuotaCommand(system, workspace, { sandbox, trace, json, values })
  );
  at("clear", "remove all limits of one place").action((workspace, options) => clearQuotaCommand(system, workspace, options));
}

/** The commands about suspensions. */
function addStopCommands(program: Command, system: CliSystem): void {
  const sandbox = ["--sandbox <id>", "only this sandbox of the workspace", readId] as const;
  program.command("suspend").description("refuse the calls of a workspace or sandbox, and cut those in flight")
    .argument("<workspace>", "the workspace's id", readId)
    .option(...sandbox)
    .option("--reason <text>", "for operators; no sandbox sees it")
    .option(...JSON_OUTPUT)
    .action((workspace, options) => suspendCommand(system, workspace, options));
  program.command("resume").description("serve a suspended workspace or sandbox again")
    .argument("<workspace>", "the workspace's id", readId)
    .option(...sandbox)
    .option(...JSON_OUTPUT)
    .action((workspace, options) => resumeCommand(system, workspace, options));
}

function addAuditCommand(program: Command, system: CliSystem): void {
  const time = (text: string) => readTime(text, system.now());
  program.command("audit").description("list administrative changes, newest first: who, when, before and after")
    .option("--workspace <id>", "only changes of this workspace", readId)
    .addOption(new Option("--action <action>", "only changes of this kind").choices(AUDIT_ACTIONS))
    .option("--since <time>", `changes from then on: ${TIME_WORDS}`, time)
    .option("--until <time>", "changes before then; without it, until now", time)
    .option(...JSON_OUTPUT)
    .action((options) => auditCommand(system, options));
}

/** The commands that take recorded rows by their time. */
function addRowCommands(program: Command, system: CliSystem): void {
  const time = (text: string) => readTime(text, system.now());
  const since = ["--since <time>", `rows admitted from then on: ${TIME_WORDS}`, time] as const;
  const until = ["--until <time>", "rows admitted before then; without it, up to now", time] as const;

  function withSpan<T extends Span>(work: (system: CliSystem, options: T) => Promise<void>) {
    return async (options: T, command: Command) => {
      refuseEmptySpan(command, options, system.now());
      await work(system, options);
    };
  }

  program.command("reship").description("ship this replica's rows to the shared database again; rows already there count once")
    .requiredOption(...since)
    .action(withSpan(reshipCommand));
  program.command("reprice").description("price recorded rows again by the running proxy's prices, and show the difference")
    .requiredOption(...since)
    .option(...until)
    .option("--dry-run", "change nothing: show what would change")
    .option("--rows", "print each row that changes, as a line of JSON")
    .option(...JSON_OUTPUT)
    .action(withSpan(repriceCommand));
  program.command("export").description(
    "write every closed row of a time span, or its charges by the hour, to stdout or into a file",
  )
    .addOption(new Option("--format <format>", "of the file").choices(EXPORT_FORMATS).makeOptionMandatory())
    .option(since[0], `${since[1]}; without it, all`, time)
    .option(...until)
    .option("--workspace <id>", "only rows of this workspace", readId)
    .option("--sandbox <id>", "only rows of this sandbox", readId)
    .option("--output <file>", "write into this file, whole or not at all; without it, to stdout")
    .action(withSpan(exportCommand));
}
