import assert from "node:assert/strict";
import { environmentNames, SETTINGS } from "../src/config/settings.ts";
import { FAULTS } from "../src/domain/fault.ts";
import { type DevProcess, startDev } from "./dev_process.ts";
import {
  anchorsOf,
  blocksOf,
  type Command,
  commandsOf,
  differenceOf,
  linksOf,
  PAGES,
  proseOf,
  readPage,
  tableOf,
} from "./documents.ts";
import { UNRUN_COMMANDS } from "./unrun_commands.ts";
import { waitFor } from "./wait.ts";

const README_LINES = 150;
/** Blocks that are not commands: other tests read the SQL and the price file. */
const OTHER_LANGUAGES = ["sql", "json", "yaml", "text"];
/** Set in a sandbox for its client, or for the tests, not for the proxy. */
const OTHERS_SETTINGS = [
  ...["ANTHROPIC_MODEL", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_BEDROCK_BASE_URL"],
  ...["ANTHROPIC_VERTEX_BASE_URL", "ANTHROPIC_VERTEX_PROJECT_ID"],
];

Deno.test("README.md has at most 150 lines", () => {
  assert.ok(readPage("README.md").trimEnd().split("\n").length <= README_LINES);
});

Deno.test("README.md leads to every page of docs/", () => {
  const linked = linksOf("README.md", readPage("README.md")).map(({ path }) => path);
  assert.deepEqual(PAGES.filter((page) => page !== "README.md" && !linked.includes(page)), []);
});

Deno.test("every link between documents leads to a file and to a heading that exist", () => {
  for (const page of [...PAGES, "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]) {
    for (const { path, anchor } of linksOf(page, readPage(page))) {
      if (anchor === "") Deno.statSync(new URL(`../${path}`, import.meta.url));
      else assert.ok(anchorsOf(readPage(path)).includes(anchor), `${page} links to ${path}#${anchor}`);
    }
  }
});

Deno.test("docs/settings.md has the settings of the code, in their order, with default and meaning", () => {
  const rows = tableOf(readPage("docs/settings.md"), "setting");
  const expected = Object.entries(SETTINGS).map(([name, row]) => [
    `\`${name}\``,
    row.default === "" ? "" : `\`${row.default}\``,
    row.meaning,
  ]);
  assert.deepEqual(rows, expected, expected.map((cells) => `| ${cells.join(" | ")} |`).join("\n"));
});

Deno.test("the documents name no setting that the code does not read", () => {
  const known = [...environmentNames(), ...OTHERS_SETTINGS];
  for (const page of PAGES) {
    // The wildcards that prose writes, such as LLMPROXY_*, end with an underscore here.
    const words = readPage(page).match(/\b(LLMPROXY|ANTHROPIC)_[A-Z_]+\b/g) ?? [];
    assert.deepEqual(words.filter((word) => !known.includes(word) && !word.endsWith("_")), [], page);
  }
});

Deno.test("docs/proxy-routes.md has every fault with its status", () => {
  const rows = tableOf(readPage("docs/proxy-routes.md"), "fault").map(([fault, status]) => [fault, status]);
  assert.deepEqual(rows, Object.entries(FAULTS).map(([code, { status }]) => [`\`${code}\``, String(status)]));
});

Deno.test("the documents have their code in fences whose language is known, and their JSON can be read", () => {
  for (const page of PAGES) {
    const text = readPage(page);
    assert.doesNotMatch(proseOf(text), /\n\n {4}/, `${page} has code without a fence`);
    for (const { language, text: inner } of blocksOf(text)) {
      assert.ok([...OTHER_LANGUAGES, "sh"].includes(language), `${page} has a block of the language "${language}"`);
      if (language === "json") JSON.parse(inner);
    }
  }
});

Deno.test("every command in the documents runs and answers as they show, or is listed with a reason", async (t) => {
  await using dev = await startDev();
  const tokenId = await seed(dev);
  const used = new Set<RegExp>();
  const afterStop: (() => Promise<void>)[] = [];
  const readers = PAGES.map((page) => async () => {
    let exports = "";
    for (const { line, answer } of blocksOf(readPage(page)).filter(({ language }) => language === "sh").flatMap(commandsOf)) {
      const unrun = UNRUN_COMMANDS.find(({ matches }) => matches.test(line));
      if (unrun !== undefined) {
        used.add(unrun.matches);
        await unrun.check(line);
      } else if (line.startsWith("export ")) {
        exports += `${here(line, dev, tokenId)}\n`;
        assert.equal((await dev.shell(exports)).code, 0, `${page}: ${line}`);
      } else {
        const runs = () => assertRuns({ line, answer }, { page, exports, tokenId, dev });
        if (NEEDS_STOPPED_PROXY.test(line)) afterStop.push(runs);
        else await runs();
      }
    }
  });
  await Promise.all(readers.map((read) => read()));
  const unused = UNRUN_COMMANDS.filter(({ matches }) => !used.has(matches));
  assert.deepEqual(unused, []);

  await t.step("README.md shows what task dev prints, and the row of its first call", async () => {
    const [shown, row] = blocksOf(readPage("README.md")).filter(({ language }) => ["text", "json"].includes(language));
    for (const line of shown!.text.split("\n")) {
      const pattern = line.trim().split("…").map((part) => RegExp.escape(here(part, dev, tokenId))).join(".+");
      assert.match(dev.printed, new RegExp(`^ *${pattern}$`, "m"));
    }
    assert.equal(differenceOf(JSON.parse(row!.text), JSON.parse((await dev.shell(dev.shows)).stdout)), null);
  });
  await t.step("the documents name metrics that exist", async () => {
    const metrics = (await dev.shell(`curl -s -H 'authorization: Bearer ${dev.adminToken}' ${dev.adminUrl}/metrics`)).stdout;
    for (const page of PAGES) {
      const named = readPage(page).match(/`llmproxy_[a-z_]+`/g) ?? [];
      assert.deepEqual(named.filter((name) => !metrics.includes(`# TYPE ${name.slice(1, -1)} `)), [], page);
    }
  });
  await dev.stop();
  for (const runs of afterStop) await runs();
});

/**
 * Makes calls of two workspaces and a refusal, so that every question has an answer.
 * Returns the id of acme's token.
 */
async function seed(dev: DevProcess): Promise<string> {
  const ask = async (line: string) => JSON.parse((await dev.shell(line)).stdout);
  const asOperator = `curl -s -H 'authorization: Bearer ${dev.adminToken}'`;
  const made = await ask(
    `${asOperator} -H 'content-type: application/json' -d '{"workspaceId":"acme","sandboxId":"sb-1"}' ${dev.adminUrl}/internal/tokens`,
  );
  await dev.shell(dev.streams);
  await dev.shell(dev.streams.replace(dev.token, made.token).replace("first-call", "run-1"));
  await dev.shell(`curl -s ${dev.url}/v1/v1/messages -H 'x-api-key: ${dev.token}' -d '{}'`);
  Deno.mkdirSync(`${dev.folder}/backup`);
  await waitFor(async () => {
    const { refusals } = await ask(`${asOperator} '${dev.adminUrl}/internal/refusals?workspace_id=dev'`);
    const { total } = await ask(`${asOperator} '${dev.adminUrl}/internal/traces'`);
    return refusals.length > 0 && total === 2;
  }, { what: "two sessions and a refusal" });
  return made.id;
}

/** The text with the addresses, folders and ids that this proxy has. */
function here(text: string, dev: DevProcess, tokenId: string): string {
  return text.replaceAll(/http:\/\/(127\.0\.0\.1|proxy):8081/g, dev.url).replaceAll("http://127.0.0.1:8082", dev.adminUrl)
    .replaceAll("/var/lib/llmproxy", `${dev.folder}/data`).replaceAll(" /backup/", ` ${dev.folder}/backup/`)
    .replaceAll("lt-01JZ…", tokenId).replaceAll("postgres://user@host/", "postgres://user@127.0.0.1:1/");
}

/** Works on a data directory that no proxy holds. */
const NEEDS_STOPPED_PROXY = /^llmproxy migrate$/;

/** Needs what `task dev` does not have: the command is run, and must fail for that reason alone. */
const EXPECTED_FAILURES: readonly (readonly [RegExp, RegExp])[] = [
  [/^llmproxy reship /, /there is no shared database/],
  [/^llmproxy import --from /, /ECONNREFUSED|Connection refused|Cannot reach|cannot be reached/i],
];

async function assertRuns(
  { line, answer }: Command,
  { page, exports, tokenId, dev }: {
    readonly page: string;
    readonly exports: string;
    readonly tokenId: string;
    readonly dev: DevProcess;
  },
): Promise<void> {
  const { code, stdout, stderr } = await dev.shell(
    `PROXY_TOKEN=${dev.token}\nADMIN_TOKEN=${dev.adminToken}\n${exports}${here(line, dev, tokenId)}`,
  );
  const told = `${page}: ${line}\n${stdout}${stderr}`;
  const failure = EXPECTED_FAILURES.find(([command]) => command.test(line));
  if (failure !== undefined) {
    assert.equal(code, 1, told);
    assert.match(stderr, failure[1], told);
    return;
  }
  assert.equal(code, 0, told);
  if (answer !== null) assert.equal(differenceOf(answer, JSON.parse(stdout)), null, told);
  else assert.doesNotMatch(stdout, /^\{"(type":"error|error)"/, told);
}
