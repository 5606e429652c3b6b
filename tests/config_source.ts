/** Settings as texts, for tests of what they are read as. */
import { loadConfigFromEnv } from "../src/config/config.ts";
import { ConfigProblems, type ConfigSource } from "../src/config/settings_reader.ts";

export type Texts = Readonly<Record<string, string>>;

export function source(env: Texts, files: Texts = {}): ConfigSource {
  return {
    env: (name) => env[name],
    names: Object.keys(env),
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw new Error(`no such file: readfile '${path}'`);
      return text;
    },
  };
}

/** Empty if the settings are right. */
export function problemsOf(env: Texts, files: Texts = {}): readonly string[] {
  try {
    loadConfigFromEnv(source(env, files));
  } catch (error) {
    if (error instanceof ConfigProblems) return error.problems;
    throw error;
  }
  return [];
}
