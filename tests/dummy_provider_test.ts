/**
 * A second upstream is one new folder and one line: done in a copy of the tree, checked, and
 * called.
 */
import assert from "node:assert/strict";

const ROOT = new URL("../", import.meta.url).pathname;
const TABLE = "src/providers/providers.ts";
const NEW_FILE = "src/providers/dummy/dummy.ts";
const NEW_LINE = 'export { dummy } from "./dummy/dummy.ts";\n';
const PROGRAM = "tests/dummy_provider/program.ts";

Deno.test("a new provider is one folder and one line: the copy checks, routes a call and records its row", async () => {
  const copy = await Deno.makeTempDir({ prefix: "llmproxy-copy-" });
  try {
    const names = await copyTree(copy);
    await Deno.mkdir(`${copy}/src/providers/dummy`);
    await Deno.writeTextFile(`${copy}/${NEW_FILE}`, read("tests/dummy_provider/dummy.ts").replaceAll("../../src/", "../../"));
    await Deno.writeTextFile(`${copy}/${TABLE}`, NEW_LINE, { append: true });

    const touched = names.filter((name) => read(name) !== Deno.readTextFileSync(`${copy}/${name}`));
    assert.deepEqual(touched, [TABLE]);
    assert.equal(Deno.readTextFileSync(`${copy}/${TABLE}`), read(TABLE) + NEW_LINE);

    const [checked, linted, ran] = await Promise.all([
      deno(copy, ["check", "main.ts", NEW_FILE, PROGRAM]),
      deno(copy, ["lint", "src/providers"]),
      deno(copy, ["run", "-A", "--no-check", PROGRAM, "dummy"]),
    ]);
    assert.ok(checked.success, checked.stderr);
    assert.ok(linted.success, linted.stderr);
    assert.ok(ran.success, ran.stderr);
    assertMetered(JSON.parse(ran.stdout));
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
});

Deno.test("a real provider is one folder and one line: a copy without OpenAI's two still checks, and has the others", async () => {
  const copy = await Deno.makeTempDir({ prefix: "llmproxy-copy-" });
  try {
    await copyTree(copy);
    await Deno.remove(`${copy}/src/providers/openai`, { recursive: true });
    const lines = read(TABLE).split("\n");
    const others = lines.filter((line) => !line.includes("/openai/"));
    assert.equal(others.length, lines.length - 1);
    await Deno.writeTextFile(`${copy}/${TABLE}`, others.join("\n"));
    const { success, stderr } = await deno(copy, ["check", "main.ts"]);
    assert.ok(success, stderr);
    const shown = await deno(copy, ["run", "-A", "--no-check", "main.ts", "prices", "--json"]);
    assert.ok(shown.success, shown.stderr);
    const { sellers } = JSON.parse(shown.stdout);
    assert.deepEqual(Object.keys(sellers).sort(), ["anthropic", "aws.bedrock", "gcp.gemini", "gcp.vertex_ai"]);
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
});

function assertMetered({ billed, refused, rows }: {
  readonly billed: Readonly<Record<string, unknown>>;
  readonly refused: Readonly<Record<string, unknown>>;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}): void {
  assert.deepEqual([billed.status, billed.text], [200, '{"engine":"one-served","units":42}']);
  assert.equal(refused.status, 404);
  assert.match(String(refused.text), /^404 There is nothing at this path.*\(ar-\w+\)$/);
  const [row, ...others] = rows;
  assert.deepEqual(others, []);
  const { id, provider, requested_model, served_model, input_tokens, outcome, accuracy, upstream_request_id } = row!;
  assert.deepEqual(
    { id, provider, requested_model, served_model, input_tokens, outcome, accuracy, upstream_request_id },
    {
      id: billed.requestId,
      provider: "dummy",
      requested_model: "one",
      served_model: "one-served",
      input_tokens: 42,
      outcome: "completed",
      accuracy: "exact",
      upstream_request_id: "up-1",
    },
  );
}

/** Copies what git knows or would add. Resolves to the names of the text files of the program. */
async function copyTree(to: string): Promise<readonly string[]> {
  const listed = await new Deno.Command("git", {
    args: [
      "ls-files",
      "-z",
      "--cached",
      "--others",
      "--exclude-standard",
      "main.ts",
      "deno.*",
      "src",
      "tests",
      "tools",
      "migrations",
    ],
    cwd: ROOT,
  }).output();
  assert.ok(listed.success, new TextDecoder().decode(listed.stderr));
  const names = new TextDecoder().decode(listed.stdout).split("\0").filter((name) => name !== "" && exists(name));
  for (const folder of new Set(names.map((name) => name.slice(0, name.lastIndexOf("/") + 1)))) {
    await Deno.mkdir(`${to}/${folder}`, { recursive: true });
  }
  await Promise.all(names.map((name) => Deno.copyFile(ROOT + name, `${to}/${name}`)));
  return names.filter((name) => name.startsWith("src/") || name === "main.ts");
}

function exists(name: string): boolean {
  try {
    return Deno.statSync(ROOT + name).isFile;
  } catch {
    return false;
  }
}

function read(name: string): string {
  return Deno.readTextFileSync(ROOT + name);
}

async function deno(cwd: string, args: readonly string[]) {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: [...args], cwd }).output();
  const text = new TextDecoder();
  return { success, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}
