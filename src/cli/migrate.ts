import { loadStorageConfig } from "../config/config.ts";
import { type CliSystem, configSourceOf } from "./system.ts";

/** `llmproxy migrate`: brings the databases up to this program and says from where to where. */
export async function migrateCommand(system: CliSystem): Promise<void> {
  for (const { name, from, to } of await system.migrate(loadStorageConfig(configSourceOf(system)))) {
    const did = from === to ? `nothing to apply: the schema has version ${to}` : `the schema went from version ${from} to ${to}`;
    system.stdout(`${name}: ${did}\n`);
  }
}
