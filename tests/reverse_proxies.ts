/** Reverse proxies, started with the configurations that docs/reverse-proxies.md shows. */
import { type DebianProgram, debianProgram, type DebianProgramName } from "./debian_programs.ts";
import { blocksOf, readPage } from "./documents.ts";
import { freePort } from "./free_port.ts";
import { certificates } from "./tls_upstream.ts";
import { waitFor } from "./wait.ts";

export interface ReverseProxy extends AsyncDisposable {
  /** Where clients call it, by https. */
  readonly url: string;
  /** The CA that signed its certificate, PEM. */
  readonly caPem: string;
}

interface Place {
  readonly folder: string;
  readonly port: number;
  readonly program: DebianProgram;
}

interface Front {
  readonly program: DebianProgramName;
  /** What a test cannot leave as the page has it, and what it has instead. */
  readonly replaced: (place: Place) => Readonly<Record<string, string>>;
  /** The shown text within what the package's own configuration has around it. */
  readonly whole: (shown: string, place: Place) => string;
  readonly args: (place: Place) => readonly string[];
}

const START_MS = 20_000;
const PORT_TRIES = 5;
const SHOWN_FOLDER = "/etc/ssl/llmproxy";
const SHOWN_PROXY = "127.0.0.1:8081";
const CONFIG = "front.conf";

const NGINX_TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/** By their headings on the page. */
export const FRONTS = {
  nginx: {
    program: "nginx",
    replaced: ({ port }) => ({ "listen 443": `listen 127.0.0.1:${port}` }),
    whole: (shown, { folder }) => `
      daemon off; master_process off; pid ${folder}/pid; events {}
      http {
        access_log off;
        ${NGINX_TEMPORARY.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ")}
        ${shown}
      }`,
    args: ({ folder }) => ["-p", folder, "-c", `${folder}/${CONFIG}`, "-e", "stderr"],
  },
  HAProxy: {
    program: "haproxy",
    // HTTP/2 too, because the page says what becomes of a broken stream there.
    replaced: ({ port }) => ({ "bind :443": `bind 127.0.0.1:${port}`, "alpn http/1.1": "alpn h2,http/1.1" }),
    whole: (shown) => shown,
    args: ({ folder }) => ["-db", "-f", `${folder}/${CONFIG}`],
  },
  Caddy: {
    program: "caddy",
    replaced: ({ port }) => ({
      "llmproxy.internal": `https://localhost:${port}`,
      // Without the period, its end waits for calls that a failed test leaves open.
      "\tservers {": "\tadmin off\n\tauto_https disable_redirects\n\tgrace_period 1s\n\tservers {",
    }),
    whole: (shown) => shown,
    args: ({ folder }) => ["run", "--adapter", "caddyfile", "--config", `${folder}/${CONFIG}`],
  },
} as const satisfies Readonly<Record<string, Front>>;

export type FrontName = keyof typeof FRONTS;

/** Starts it in front of a proxy and resolves when calls pass. */
export async function startFront(name: FrontName, proxyUrl: string): Promise<ReverseProxy> {
  const front: Front = FRONTS[name];
  const program = await debianProgram(front.program);
  const folder = await Deno.makeTempDir({ prefix: `llmproxy-${front.program}-` });
  const { caPem, key, cert } = await certificates();
  Deno.writeTextFileSync(`${folder}/cert.pem`, cert);
  Deno.writeTextFileSync(`${folder}/key.pem`, key, { mode: 0o600 });
  Deno.writeTextFileSync(`${folder}/cert-and-key.pem`, `${cert}\n${key}`, { mode: 0o600 });
  for (let tries = 1;; tries++) {
    const place = { folder, port: freePort(), program };
    const fixed = { [SHOWN_FOLDER]: folder, [SHOWN_PROXY]: new URL(proxyUrl).host };
    const shown = replacedIn(shownConfiguration(name), { ...fixed, ...front.replaced(place) });
    Deno.writeTextFileSync(`${folder}/${CONFIG}`, front.whole(shown, place));
    try {
      return await started(front, { place, caPem });
    } catch (error) {
      if (tries < PORT_TRIES && /address already in use|cannot bind/i.test(String(error))) continue;
      await Deno.remove(folder, { recursive: true });
      throw error;
    }
  }
}

/** The first block below that heading of the page. */
function shownConfiguration(name: FrontName): string {
  const section = readPage("docs/reverse-proxies.md").split(/^## /m).find((text) => text.startsWith(`${name}\n`));
  return blocksOf(section!)[0]!.text;
}

function replacedIn(text: string, replacements: Readonly<Record<string, string>>): string {
  for (const [shown, instead] of Object.entries(replacements)) {
    if (!text.includes(shown)) throw new Error(`docs/reverse-proxies.md does not show ${shown} in:\n${text}`);
    text = text.replaceAll(shown, instead);
  }
  return text;
}

async function started(
  front: Front,
  { place, caPem }: { readonly place: Place; readonly caPem: string },
): Promise<ReverseProxy> {
  const { folder, port, program } = place;
  const child = new Deno.Command(program.path, {
    args: [...front.args(place)],
    cwd: folder,
    env: { ...program.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const life = { log: "", isOver: false };
  const heard = [child.stdout, child.stderr].map(async (stream) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) life.log += text;
  });
  const over = Promise.all([child.status, ...heard]).then(() => life.isOver = true);
  const stop = async () => {
    if (!life.isOver) child.kill("SIGTERM");
    await over;
  };
  const url = `https://localhost:${port}`;
  using client = Deno.createHttpClient({ caCerts: [caPem] });
  const passes = async () => {
    const answer = await fetch(`${url}/healthz`, { client }).catch(() => null);
    await answer?.body?.cancel();
    return answer?.ok === true;
  };
  try {
    await waitFor(async () => life.isOver || await passes(), { what: "calls to pass", deadlineMs: START_MS });
    if (life.isOver) throw new Error("it has ended");
  } catch (error) {
    await stop();
    throw new Error(`Cannot start ${program.path}: ${error}: ${life.log}`);
  }
  return {
    url,
    caPem,
    [Symbol.asyncDispose]: async () => {
      await stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
