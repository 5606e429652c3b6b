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

function source(env: Readonly<Record<string, string>>): ConfigSource {
  return { env: (name) => env[name], names: Object.keys(env), readFile: () => assert.fail("no file was to be read") };
}
