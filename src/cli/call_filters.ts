import { type Command, Option } from "commander";
import { ACCURACIES, OUTCOMES } from "../domain/usage.ts";
import { readId, readLimit, readName, readTime, type Span, TIME_WORDS } from "./arguments.ts";
import { type CliSystem, isoOf } from "./system.ts";

/** The options of commands that ask about ended calls. */
export interface CallOptions extends Span {
  readonly workspace?: string;
  readonly sandbox?: string;
  readonly upstream?: string;
  readonly model?: string;
  readonly outcome?: string;
  readonly accuracy?: string;
  readonly order?: string;
  readonly limit: number;
  readonly json?: true;
}

/** Entries that a table shows if no limit is named. */
const DEFAULT_LIMIT = 50;

/** Adds them. `what` is what is listed, `orders` the words of its order. */
export function addCallFilters(
  command: Command,
  system: CliSystem,
  { what, orders }: { readonly what: string; readonly orders: readonly string[] },
): Command {
  const time = (text: string) => readTime(text, system.now());
  return command
    .option("--workspace <id>", "only of this workspace", readId)
    .option("--sandbox <id>", "only of this sandbox", readId)
    .option("--since <time>", `from then on: ${TIME_WORDS}`, time)
    .option("--until <time>", "before then; without it, up to now", time)
    .option("--upstream <name>", "only of this upstream", readName)
    .option("--model <name>", "only of this model, as the answers name it", readName)
    .addOption(new Option("--outcome <outcome>", "only of calls that ended so").choices(OUTCOMES))
    .addOption(new Option("--accuracy <accuracy>", "only of calls with such counts").choices(ACCURACIES))
    .addOption(new Option("--order <order>", "the greatest or newest come first").choices(orders))
    .option("--limit <count>", `the most ${what} to print, or all`, readLimit, DEFAULT_LIMIT);
}

/** The options as the admin API's filters. */
export function queryOf(options: CallOptions): URLSearchParams {
  const { workspace, sandbox, since, until, upstream, model, outcome, accuracy, order } = options;
  const filters = { workspace_id: workspace, sandbox_id: sandbox, upstream, model, outcome, accuracy, order };
  return new URLSearchParams([
    ...Object.entries(filters).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]),
    ...Object.entries({ since, until }).flatMap(([name, at]) => at === undefined ? [] : [[name, isoOf(at)]]),
  ]);
}
