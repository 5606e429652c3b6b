import type { Command } from "commander";
import { z } from "zod";
import { loadClientConfig } from "../config/config.ts";
import { ConfigProblems } from "../config/settings_reader.ts";
import { wholeText } from "../http/dashboard/figures.tsx";
import { CHECKS, type Finding, findingsOf, type State } from "../server/doctor/finding.ts";
import { adminClient, localUrlOf } from "./admin_client.ts";
import { EXIT } from "./exit_codes.ts";
import { type CliSystem, CommandFailure } from "./system.ts";
import { padded, type Screen, styled, visible } from "./table.ts";

interface DoctorOptions {
  readonly json?: true;
}

const proxy = findingsOf("proxy");
const READY_MS = 10_000;
const readyShape = z.object({ status: z.string(), reason: z.string().optional() });

export function addDoctorCommand(program: Command, system: CliSystem): void {
  program.command("doctor")
    .description("check settings, credentials, control plane, database, clock, disk and permissions, and say what to do")
    .option("--json", 'print JSON: {"findings": [{check, state, says, advice}]}')
    .action((options) => doctorCommand(system, options));
}

/** Prints each finding as it comes. Rejects if any failed. */
async function doctorCommand(system: CliSystem, { json }: DoctorOptions): Promise<void> {
  const screen = system.screen();
  const findings: Finding[] = [];
  function tell(finding: Finding): void {
    findings.push(finding);
    if (!json) system.stdout(textOf(finding, screen));
  }
  for await (const finding of system.examine()) tell(finding);
  for (const finding of await examineProxy(system)) tell(finding);
  if (json) system.stdout(`${JSON.stringify({ findings })}\n`);
  const failed = findings.filter(({ state }) => state === "failed").length;
  const warnings = findings.filter(({ state }) => state === "warning").length;
  if (failed > 0) throw new CommandFailure(`${countOf(failed, "finding")} failed, ${countOf(warnings, "warning")}`);
  if (!json) system.stdout(`Nothing failed, ${countOf(warnings, "warning")}.\n`);
}

/** The proxy that runs on this machine, if one does, and whether it takes the admin token. */
async function examineProxy(system: CliSystem): Promise<readonly Finding[]> {
  try {
    const { proxyAddress } = loadClientConfig(system.source);
    const url = localUrlOf(proxyAddress);
    const ready = await readinessOf(system, url);
    if (ready === null) {
      return [proxy.skipped(`No proxy answers at ${url}`, "Start it with llmproxy serve, or with systemctl start llmproxy.")];
    }
    return [ready, await examineToken(system)];
  } catch (error) {
    if (!(error instanceof ConfigProblems)) throw error;
    return [proxy.skipped("Not looked at, because its settings cannot be read")];
  }
}

/** Null if no proxy answers. */
async function readinessOf({ fetch }: CliSystem, url: string): Promise<Finding | null> {
  try {
    const answer = await fetch(`${url}/readyz`, { redirect: "manual", signal: AbortSignal.timeout(READY_MS) });
    const read = readyShape.safeParse(await answer.json());
    if (!read.success) {
      return proxy.failed(`Something else than llmproxy answers at ${url}`, "Set LLMPROXY_LISTEN_ADDR to a free port.");
    }
    const { status, reason = "it gives no reason" } = read.data;
    if (status === "ok") return proxy.ok(`The proxy at ${url} serves and records calls`);
    const finding = answer.ok ? proxy.warning : proxy.failed;
    return finding(`The proxy at ${url} is ${status}: ${reason}`, "Its log says more. The checks above may say why.");
  } catch (error) {
    if (error instanceof SyntaxError) {
      return proxy.failed(`Something else than llmproxy answers at ${url}`, "Set LLMPROXY_LISTEN_ADDR to a free port.");
    }
    return null;
  }
}

async function examineToken(system: CliSystem): Promise<Finding> {
  try {
    await adminClient(system).question("/internal/suspensions", z.unknown());
    return proxy.ok("Its admin API takes the token of these settings");
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    const advice = error.exitCode === EXIT.misused
      ? "The command line needs the token of the proxy that runs: LLMPROXY_ADMIN_TOKEN, or LLMPROXY_DATA_DIR of that proxy."
      : "Check LLMPROXY_ADMIN_ADDR.";
    return proxy.failed(error.message, advice);
  }
}

const WORDS: Readonly<Record<State, string>> = { ok: "ok", warning: "WARNING", failed: "FAILED", skipped: "-" };
const STATE_WIDTH = Math.max(...Object.values(WORDS).map(({ length }) => length));
const CHECK_WIDTH = Math.max(...CHECKS.map(({ length }) => length));

/** One line, and one below it with what to do. */
function textOf({ check, state, says, advice }: Finding, screen: Screen | null): string {
  const word = padded(WORDS[state], STATE_WIDTH);
  const head = `${state === "failed" ? styled(word, "red", screen) : word}  ${padded(check, CHECK_WIDTH)}  ${visible(says)}\n`;
  return advice === null ? head : `${head}${" ".repeat(STATE_WIDTH + CHECK_WIDTH + 4)}To do: ${visible(advice)}\n`;
}

function countOf(count: number, what: string): string {
  return `${wholeText(count)} ${what}${count === 1 ? "" : "s"}`;
}
