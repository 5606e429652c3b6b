/** Contenders that are not in this tree: other programs, and an older llmproxy. */
import { answering, findProgram, freePorts, isFile, type Running, runToEnd, startProcess } from "./processes.ts";
import { Missing, type Site } from "./site.ts";

/** The commit that issue 10 is measured against. */
export const BASELINE = "e945b04";
/** The last commit that spoke Anthropic's dialect alone: issue 13 is measured against it. */
export const ONE_DIALECT = "f625a51";
const PORTKEY = "@portkey-ai/gateway@1.15.2";

interface Listening {
  readonly port: number;
  readonly process: Running;
}

/** Unpacks the tree of a commit from the history of this clone. */
export async function oldSource(commit: string, dir: string): Promise<string> {
  const folder = `${dir}/${commit}-source`;
  const archive = `${dir}/${commit}.tar`;
  await runToEnd("git", ["archive", `--output=${archive}`, commit]).catch((error) => {
    throw new Missing(`this clone's history has no commit ${commit} (git fetch --unshallow): ${error.message}`);
  });
  await Deno.mkdir(folder);
  await runToEnd("tar", ["-xf", archive, "-C", folder]);
  return folder;
}

export async function goProxy(site: Site): Promise<Listening> {
  const go = findProgram("go");
  if (go === null) throw new Missing("go is not installed");
  const program = `${site.dir}/go_proxy`;
  await runToEnd(go, ["build", "-o", program, "bench/go_proxy.go"], { CGO_ENABLED: "0" });
  const [port] = freePorts(1);
  return await listening(program, [String(port), String(site.upstreamPort)], { port: port!, name: "go", site });
}

/** npm installs it once, in a cache outside the tree. */
export async function portkey(site: Site): Promise<Listening> {
  const node = findProgram("node");
  const npm = findProgram("npm");
  if (node === null || npm === null) throw new Missing("node and npm are not installed");
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "."}/.cache`;
  const folder = `${cache}/llmproxy-bench/${PORTKEY.replace("/", "+")}`;
  const main = `${folder}/node_modules/@portkey-ai/gateway/build/start-server.js`;
  if (!isFile(main)) {
    const partial = `${folder}.${crypto.randomUUID()}`;
    await runToEnd(npm, ["install", "--prefix", partial, "--ignore-scripts", "--no-audit", "--no-fund", PORTKEY]).catch(
      (error) => {
        throw new Missing(`npm cannot install ${PORTKEY}: ${error.message}`);
      },
    );
    await Deno.rename(partial, folder);
  }
  const [port] = freePorts(1);
  return await listening(node, [main, `--port=${port}`, "--headless"], { port: port!, name: "portkey", site });
}

export async function nginx(site: Site): Promise<Listening> {
  const path = findProgram("nginx");
  if (path === null) throw new Missing("nginx is not installed");
  const [port] = freePorts(1);
  const conf = `${site.dir}/nginx.conf`;
  await Deno.writeTextFile(conf, nginxConf(port!, site));
  return await listening(path, ["-p", site.dir, "-c", conf, "-e", "stderr"], { port: port!, name: "nginx", site });
}

async function listening(
  command: string,
  args: readonly string[],
  { port, name, site }: { readonly port: number; readonly name: string; readonly site: Site },
): Promise<Listening> {
  const process = startProcess(command, args, { log: `${site.dir}/${name}.log`, env: {}, place: site.place });
  await answering(port, null);
  return { port, process };
}

/** One worker, kept-alive connections on both sides, no buffering of answers, no access log. */
function nginxConf(port: number, { upstreamPort, dir }: Site): string {
  const isRoot = Deno.uid() === 0;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${dir}/${name};`);
  return `
daemon off;
${isRoot ? "user root;" : ""}
pid ${dir}/nginx.pid;
worker_processes 1;
worker_rlimit_nofile 8192;
error_log stderr;
events { worker_connections 4096; }
http {
  access_log off;
  ${temporary.join("\n  ")}
  keepalive_requests 10000000;
  upstream anthropic {
    server 127.0.0.1:${upstreamPort};
    keepalive 1024;
    keepalive_requests 10000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://anthropic;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`;
}
