/** A real Prometheus that scrapes proxies every second, with the rules that operators get. */
import { stringify } from "yaml";
import { debianProgram } from "./debian_programs.ts";
import { freePort } from "./free_port.ts";
import { waitFor } from "./wait.ts";

const START_MS = 30_000;
const PORT_TRIES = 5;

export interface FiringAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [at: number, value: string];
}

export interface Prometheus extends AsyncDisposable {
  /** The alerts that fire now. */
  readonly firing: () => Promise<readonly FiringAlert[]>;
  /** The series of an instant query. Throws if Prometheus cannot read the expression. */
  readonly query: (expr: string) => Promise<readonly Series[]>;
}

export interface PrometheusOptions {
  readonly rules: string;
  /** `host:port`, by the name that stands in the label `instance`. */
  readonly targets: Readonly<Record<string, string>>;
  /** What the proxies ask for. */
  readonly token: string;
}

/** Resolves when it answers. Its files go with it. */
export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const folder = await Deno.makeTempDir({ prefix: "llmproxy-prometheus-" });
  Deno.writeTextFileSync(`${folder}/rules.yml`, options.rules);
  Deno.writeTextFileSync(`${folder}/token`, options.token, { mode: 0o600 });
  Deno.writeTextFileSync(`${folder}/prometheus.yml`, stringify(configurationOf(options)));
  for (let tries = 1;; tries++) {
    try {
      return await started(folder, freePort());
    } catch (error) {
      if (tries < PORT_TRIES && /address already in use/.test(String(error))) continue;
      await Deno.remove(folder, { recursive: true });
      throw error;
    }
  }
}

function configurationOf({ targets }: PrometheusOptions) {
  return {
    global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
    rule_files: ["rules.yml"],
    scrape_configs: [{
      job_name: "llmproxy",
      authorization: { credentials_file: "token" },
      static_configs: Object.entries(targets).map(([instance, target]) => ({ targets: [target], labels: { instance } })),
    }],
  };
}

async function started(folder: string, port: number): Promise<Prometheus> {
  const { path, env } = await debianProgram("prometheus");
  const child = new Deno.Command(path, {
    args: [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ],
    ...{ env, cwd: folder, stdin: "null", stdout: "null", stderr: "piped" },
  }).spawn();
  const life = { log: "", isOver: false };
  const heard = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) life.log += text;
  })();
  const over = Promise.all([child.status, heard]).then(() => life.isOver = true);
  const stop = async () => {
    if (!life.isOver) child.kill("SIGTERM");
    await over;
  };
  const url = `http://127.0.0.1:${port}`;
  try {
    await waitFor(async () => life.isOver || await isOk(`${url}/-/ready`), {
      what: "Prometheus to be ready",
      deadlineMs: START_MS,
    });
    if (life.isOver) throw new Error("it has ended");
  } catch (error) {
    await stop();
    throw new Error(`Cannot start ${path}: ${error}: ${life.log}`);
  }
  return {
    firing: async () => {
      const { alerts } = await ask<{ readonly alerts: readonly (FiringAlert & { readonly state: string })[] }>(
        `${url}/api/v1/alerts`,
      );
      return alerts.filter(({ state }) => state === "firing");
    },
    query: async (expr) => {
      const { result } = await ask<{ readonly result: readonly Series[] }>(
        `${url}/api/v1/query?query=${encodeURIComponent(expr)}`,
      );
      return result;
    },
    [Symbol.asyncDispose]: async () => {
      await stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

async function isOk(url: string): Promise<boolean> {
  const answer = await fetch(url).catch(() => null);
  await answer?.body?.cancel();
  return answer?.ok === true;
}

async function ask<T>(url: string): Promise<T> {
  const { status, error, data } = await (await fetch(url)).json();
  if (status !== "success") throw new Error(`${url}: ${error}`);
  return data;
}
