import { loadStorageConfig } from "../config/config.ts";
import { configSourceOf, type Platform } from "./system.ts";

/** `llmproxy migrate`: brings the databases up to this program and says from where to where. */
export async function migrateCommand(platform: Platform): Promise<void> {
  for (const { name, from, to } of await platform.migrate(loadStorageConfig(configSourceOf(platform)))) {
    const did = from === to ? `nothing to apply: the schema has version ${to}` : `the schema went from version ${from} to ${to}`;
    platform.stdout(`${name}: ${did}\n`);
  }
}
