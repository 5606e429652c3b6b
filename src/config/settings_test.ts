import assert from "node:assert/strict";
import { loadClientConfig, loadConfigFromEnv, loadStorageConfig } from "./config.ts";
import { RENAMED, SETTINGS } from "./settings.ts";
import { ConfigProblems, type ConfigSource } from "./settings_reader.ts";

Deno.test("SETTINGS has only defaults that their own schemas can read", () => {
  for (const [name, row] of Object.entries(SETTINGS)) {
    if (row.default !== "") assert.notEqual(row.schema.parse(row.default), null, name);
  }
});

Deno.test("every command names the new name of a renamed setting that is still set, and not its value", () => {
  for (const [old, name] of Object.entries(RENAMED)) {
    const problem = new ConfigProblems([`Cannot use ${old}: it is called ${name} now`]);
    for (const load of [loadConfigFromEnv, loadStorageConfig, loadClientConfig]) {
      assert.throws(() => load(source({ ANTHROPIC_API_KEY: "key", [old]: "7", [name]: SETTINGS[name].default })), problem);
      load(source({ ANTHROPIC_API_KEY: "key", [old]: "" }));
    }
    assert.deepEqual(loadConfigFromEnv(source({ ANTHROPIC_API_KEY: "key", [old]: "" })).warnings, []);
  }
});

Deno.test("loadConfigFromEnv() takes the database URLs that providers show, and names the parameter that it cannot take", () => {
  for (
    const url of [
      "postgresql://u:p@ep-1.neon.example/db?sslmode=require&channel_binding=prefer",
      "postgres://u:p@h1:5432,h2:5433/db?target_session_attrs=read-write",
      "postgres://u@/db?host=/run/postgresql",
      "postgres://u@%2Frun%2Fpostgresql/db?application_name=x&connect_timeout=10",
    ]
  ) {
    const { storage } = loadConfigFromEnv(source({ ANTHROPIC_API_KEY: "key", LLMPROXY_DATABASE_URL: url }));
    assert.equal(storage.database?.url, url);
  }
  const refused = "postgres://u:hush@db/db?channel_binding=require";
  const problem = new ConfigProblems([
    'Cannot use LLMPROXY_DATABASE_URL: the parameter "channel_binding" can only be ' +
    "prefer or disable here: channel binding is not supported; use sslmode=verify-full instead",
  ]);
  assert.throws(() => loadConfigFromEnv(source({ ANTHROPIC_API_KEY: "key", LLMPROXY_DATABASE_URL: refused })), problem);
});

function source(env: Readonly<Record<string, string>>): ConfigSource {
  return { env: (name) => env[name], names: Object.keys(env), readFile: () => assert.fail("no file was to be read") };
}
