import { type Config, loadConfigFromEnv, loadStorageConfig, type StorageConfig } from "../../config/config.ts";
import { environmentNames } from "../../config/settings.ts";
import { ConfigProblems, type ConfigSource } from "../../config/settings_reader.ts";
import { Redactor } from "../../telemetry/redact.ts";
import { examineControlPlane } from "./control_plane.ts";
import { examineDataDir } from "./data_dir.ts";
import { examineDatabase } from "./database.ts";
import { type Finding, findingsOf } from "./finding.ts";
import { examineOpenIdProvider } from "./openid_provider.ts";
import { examineSecretFiles } from "./secret_files.ts";
import { examineUpstream } from "./upstream.ts";
import { secretsOfUpstream } from "../../domain/upstream.ts";

export interface ExaminationOptions {
  readonly source: ConfigSource;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  /** A proxy token that no one has. */
  readonly madeUp: string;
}

/**
 * Looks at everything that a proxy with these settings needs, and changes nothing but a file in the
 * data directory that it removes again. Never throws. No finding holds a secret.
 */
export async function* examine({ source, now, madeUp }: ExaminationOptions): AsyncGenerator<Finding, void> {
  const { config, findings } = examineSettings(source);
  const storage = config?.storage ?? storageOf(source);
  const redactor = new Redactor(() => [...secretsOf(config, storage), madeUp]);
  redactor.refresh();
  // All at once, because each may wait for another machine; told in this order.
  const checks = [
    Promise.resolve([...findings, ...examineSecretFiles(source)]),
    storage === null ? unread("data directory") : Promise.resolve(examineDataDir(storage.dataDir)),
    storage === null ? unread("database") : examineDatabase(storage, now),
    config === null ? unread("credential") : examineUpstream(config, now),
    config === null ? unread("control plane") : examineControlPlane(config, madeUp).then((finding) => [finding]),
    config === null ? unread("OpenID provider") : examineOpenIdProvider(config, now).then((finding) => [finding]),
  ];
  for (const check of checks) {
    for (const finding of await check) yield clean(finding, redactor);
  }
}

function examineSettings(source: ConfigSource): { readonly config: Config | null; readonly findings: readonly Finding[] } {
  const settings = findingsOf("settings");
  try {
    const config = loadConfigFromEnv(source);
    const set = environmentNames().filter((name) => source.env(name)).length;
    const warnings = config.warnings.map((words) => settings.warning(words, "docs/settings.md lists all settings."));
    return { config, findings: [settings.ok(`${set} settings are set, and all can be read`), ...warnings] };
  } catch (error) {
    if (!(error instanceof ConfigProblems)) throw error;
    return {
      config: null,
      findings: error.problems.map((problem) => settings.failed(problem, "docs/settings.md lists all settings.")),
    };
  }
}

/** A wrong setting elsewhere must not hide what is wrong with the storage. */
function storageOf(source: ConfigSource): StorageConfig | null {
  try {
    return loadStorageConfig(source);
  } catch {
    return null;
  }
}

function unread(check: Finding["check"]): Promise<readonly Finding[]> {
  return Promise.resolve([findingsOf(check).skipped("Not looked at, because its settings cannot be read")]);
}

function secretsOf(config: Config | null, storage: StorageConfig | null): readonly string[] {
  const url = storage?.database?.url;
  const password = url === undefined ? null : URL.parse(url)?.password;
  const admin = config === null ? [] : [config.admin.token, config.admin.viewerToken, config.oidc?.clientSecret];
  const upstream = config === null ? [] : config.upstreams.flatMap(secretsOfUpstream);
  return [...admin, ...upstream, url, password].filter((secret): secret is string => Boolean(secret));
}

function clean({ says, advice, ...finding }: Finding, redactor: Redactor): Finding {
  return { ...finding, says: redactor.text(says), advice: advice === null ? null : redactor.text(advice) };
}
