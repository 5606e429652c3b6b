import type { ImportRows } from "../domain/imported_rows.ts";
import { priceOf } from "../pricing/price_of.ts";
import { BILLINGS } from "../providers/billings.ts";
import { MAX_IMPORTED } from "../http/import.ts";
import { openGoProgram } from "../stores/postgres/agentserver_source.ts";
import { loadStorageConfig, readPrices } from "../config/config.ts";
import { faultOfSecret, withoutLineEnds } from "../config/settings_reader.ts";
import { importInto } from "../server/import_rows.ts";
import { adminClient } from "./admin_client.ts";
import { type CliSystem, CommandFailure } from "./system.ts";
import { visible } from "./table.ts";

export interface ImportOptions {
  /** `postgres://…`, or the path of a file that holds it. */
  readonly from: string;
  /** Works on the data directory of a proxy that does not run. */
  readonly offline?: true;
}

/**
 * `llmproxy import`: imports the rows of the Go program, page by page: into the shared database, or
 * without one through the running proxy. Run again, it adds new rows; each row counts once.
 */
export async function importCommand(system: CliSystem, { from, offline }: ImportOptions): Promise<void> {
  const source = openGoProgram(urlOf(system, from));
  try {
    await source.check();
    const { importRows, end } = await openTarget(system, offline === true);
    try {
      const traces = await eachPage(source.traces, (page) => importRows({ traces: page, usage: [] }));
      let unpriced = 0;
      const calls = await eachPage(source.usage, async (page) => {
        unpriced += (await importRows({ traces: [], usage: page })).unpriced;
        if (system.isTerminal()) system.stderr(`\r\x1b[K… ${visible(page.at(-1)?.id ?? "")}`);
      });
      if (system.isTerminal()) system.stderr("\r\x1b[K");
      system.stdout(`${calls} calls and ${traces} traces are imported; those that were there already count once\n`);
      if (unpriced > 0) {
        system.stderr(`${unpriced} of the calls have no price: LLMPROXY_PRICES_FILE can add prices of their models\n`);
      }
    } finally {
      await end();
    }
  } finally {
    await source.close();
  }
}

async function eachPage<T extends { readonly id: string }>(
  read: (after: string | null, limit: number) => Promise<readonly T[]>,
  take: (page: readonly T[]) => Promise<unknown>,
): Promise<number> {
  let count = 0;
  let after: string | null = null;
  for (;;) {
    const page: readonly T[] = await read(after, MAX_IMPORTED);
    if (page.length > 0) await take(page);
    count += page.length;
    after = page.at(-1)?.id ?? null;
    if (page.length < MAX_IMPORTED) return count;
  }
}

async function openTarget(
  system: CliSystem,
  offline: boolean,
): Promise<{ readonly importRows: ImportRows; readonly end: () => Promise<void> }> {
  const { source } = system;
  const storage = loadStorageConfig(source);
  if (!offline && storage.database === null) {
    return { importRows: adminClient(system).importRows, end: () => Promise.resolve() };
  }
  const prices = readPrices(source);
  const { records, end } = await system.openOffline(storage);
  return { importRows: importInto(records, priceOf(prices, BILLINGS)), end };
}

function urlOf({ source }: CliSystem, from: string): string {
  if (/^postgres(ql)?:/.test(from)) return from;
  const text = withoutLineEnds(contentOf(source.readFile, from));
  const fault = text === "" ? "it is empty" : faultOfSecret(text, "LLMPROXY_DATABASE_URL");
  if (fault !== null) throw new CommandFailure(`Cannot import: the file that --from names cannot be used: ${fault}`);
  return text;
}

function contentOf(readFile: (path: string) => string, path: string): string {
  try {
    return readFile(path);
  } catch (cause) {
    throw new CommandFailure(`Cannot import: --from is neither a postgres:// URL nor a readable file`, { cause });
  }
}
