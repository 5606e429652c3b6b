import assert from "node:assert/strict";
import { startFakeUpstream } from "../fake_upstream.ts";
import { assertExactRows, callAndRead, type SeenAnswer, textOf } from "../metered_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { runCommandLine, startProxyProcess } from "../proxy_process.ts";
import { settingsOf, startProxy } from "../proxy_under_test.ts";
import { arrivedRows } from "../shared_rows.ts";

const postgres = await startPostgres();
Deno.test.afterAll(async () => await postgres[Symbol.asyncDispose]());

/** How a file becomes unreadable. */
const DAMAGES: Readonly<Record<string, (path: string) => void>> = {
  "overwritten from its beginning": (path) => Deno.writeTextFileSync(path, "garbage ".repeat(10_000)),
  "overwritten in its middle": (path) => {
    const bytes = Deno.readFileSync(path);
    bytes.fill(0xa5, 4_096 * 2, 4_096 * 12);
    Deno.writeFileSync(path, bytes);
  },
  "cut off": (path) => Deno.truncateSync(path, 4_096 * 5),
};

for (const [how, damage] of Object.entries(DAMAGES)) {
  Deno.test(`a spool that was ${how} is moved aside with a message that says what to do, and the start goes on`, async () => {
    const url = await postgres.newDatabase();
    const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
    const env = { LLMPROXY_DATABASE_URL: url };
    const answers: SeenAnswer[] = [];
    {
      await using proxy = await startProxy({ env, dataDir });
      answers.push(await callAndRead(proxy.url, { token: await proxy.token(), text: textOf(0) }));
    }
    damage(`${dataDir}/spool-0.db`);
    {
      await using proxy = await startProxy({ env, dataDir });
      answers.push({ ...await callAndRead(proxy.url, { token: await proxy.token(), text: textOf(1) }) });
      const rows = await arrivedRows(postgres, { count: 2, url });
      assert.deepEqual(rows.map((row) => row.input_tokens), answers.map(({ text }) => text.length));
      const said = proxy.logs.map((line) => JSON.parse(line)).find(({ msg }) => String(msg).startsWith("the spool was damaged"));
      assert.equal(said?.level, "error");
      const aside = [...Deno.readDirSync(dataDir)].map(({ name }) => name).filter((name) =>
        /^spool-0\.db\.damaged-[\dTZ.-]+$/.test(name)
      );
      assert.deepEqual(aside.map((name) => `${dataDir}/${name}`), [said.path]);
      assert.equal(said.rescue, `sqlite3 ${said.path} .recover`);
    }
    await Deno.remove(dataDir, { recursive: true });
  });
}

Deno.test("serve exits with 2 and a sentence where the shared database is newer than the program", async () => {
  const url = await postgres.newDatabase();
  await using upstream = await startFakeUpstream();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const env = { LLMPROXY_DATABASE_URL: url };
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    await proxy.token();
  }
  await postgres.psql("INSERT INTO schema_migrations (version, name) VALUES (77, 'of_the_future')", url);
  const { code, stderr } = await runCommandLine(["serve"], settingsOf(upstream.url, dataDir, env));
  assert.equal(code, 2);
  assert.match(
    stderr,
    /^Cannot use the database: its schema has version 77, and this llmproxy knows versions up to \d+\. Run .+\n$/,
  );
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("serve exits with 2 where another one holds the data directory, which goes on undisturbed", async () => {
  const url = await postgres.newDatabase();
  await using upstream = await startFakeUpstream();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const env = { LLMPROXY_DATABASE_URL: url };
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    const token = await proxy.token();
    const answers = [await callAndRead(proxy.url, { token, text: textOf(0) })];
    const { code, stderr } = await runCommandLine(["serve"], settingsOf(upstream.url, dataDir, env));
    assert.equal(code, 2);
    assert.equal(
      stderr,
      `Cannot use the data directory "${dataDir}": another llmproxy holds it. ` +
        "Stop that one, or give this one a directory of its own with LLMPROXY_DATA_DIR\n",
    );
    answers.push(await callAndRead(proxy.url, { token, text: textOf(1) }));
    assertExactRows(await arrivedRows(postgres, { count: 2, url }), answers);
  }
  await Deno.remove(dataDir, { recursive: true });
});
