/**
 * Programs from Debian's packages, for tests: the machine's own, otherwise from packages that
 * apt-get downloads and nothing installs. They stay in the tests' cache.
 */
import { isThere, keepFolder, testCacheFolder } from "./test_cache.ts";

/** The programs, with the package of each. */
const PACKAGES = {
  nginx: "nginx",
  haproxy: "haproxy",
  caddy: "caddy",
  chromium: "chromium",
  prometheus: "prometheus",
  promtool: "prometheus",
} as const;
/** A user's PATH may lack the folders for daemons. */
const DAEMON_FOLDERS = ["/usr/local/sbin", "/usr/sbin"];

export type DebianProgramName = keyof typeof PACKAGES;

export interface DebianProgram {
  readonly path: string;
  /** Where its package's files are: empty if the package is installed. */
  readonly root: string;
  /** How the program finds its libraries. */
  readonly env: Readonly<Record<string, string>>;
}

let downloaded: Promise<string> | null = null;

/** Throws an error that names the packages if a program is missing and cannot be downloaded. */
export async function debianProgram(name: DebianProgramName): Promise<DebianProgram> {
  const own = installed(name);
  if (own !== null) return { path: own, root: "", env: {} };
  const root = await (downloaded ??= missingPrograms());
  // Chromium's program in usr/bin looks for the rest where it is installed.
  const path = ["usr/lib/chromium", "usr/sbin", "usr/bin"].map((folder) => `${root}/${folder}/${name}`).find(isThere);
  if (path === undefined) throw new Error(`Cannot find ${name} in its package ${PACKAGES[name]}, unpacked in ${root}`);
  return { path, root, env: { LD_LIBRARY_PATH: libraryFolders(root).join(":") } };
}

function installed(name: DebianProgramName): string | null {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), ...DAEMON_FOLDERS];
  return folders.map((folder) => `${folder}/${name}`).find(isThere) ?? null;
}

/** Unpacks the packages of all missing programs at once. Returns their folder. */
async function missingPrograms(): Promise<string> {
  const names = Object.keys(PACKAGES) as DebianProgramName[];
  const packages = [...new Set(names.filter((name) => installed(name) === null).map((name) => PACKAGES[name]))];
  const kept = `${testCacheFolder()}/debian/${packages.join("+")}`;
  if (isThere(`${kept}/whole`)) return kept;
  const folder = await Deno.makeTempDir({ prefix: "llmproxy-debian-" });
  try {
    for (const path of ["lists/partial", "archives/partial", "unpacked"]) {
      Deno.mkdirSync(`${folder}/${path}`, { recursive: true });
    }
    const places = { "State::lists": "lists", "Cache": "", "Cache::archives": "archives" };
    const options = Object.entries(places).flatMap(([name, path]) => ["-o", `Dir::${name}=${folder}/${path}`]);
    // Without them it needs root's lock, and as root a user who may not write to our folder.
    options.push("-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "-qq");
    await run("apt-get", [...options, "update"]);
    await run("apt-get", [...options, "install", "-y", "--no-install-recommends", "--download-only", ...packages]);
    for (const { name } of Deno.readDirSync(`${folder}/archives`)) {
      if (name.endsWith(".deb")) await run("dpkg-deb", ["-x", `${folder}/archives/${name}`, `${folder}/unpacked`]);
    }
    Deno.writeTextFileSync(`${folder}/unpacked/whole`, "");
    await keepFolder(`${folder}/unpacked`, kept);
    return kept;
  } catch (error) {
    const hint = `install them (Debian: apt-get install ${packages.join(" ")}), or let apt-get reach its archive`;
    throw new Error(`Cannot find programs for tests: ${hint}: ${error}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function libraryFolders(root: string): string[] {
  return ["usr/lib", "lib"].flatMap((folder) => {
    try {
      const names = [...Deno.readDirSync(`${root}/${folder}`)].map(({ name }) => name);
      return names.filter((name) => name.endsWith("-linux-gnu")).map((name) => `${root}/${folder}/${name}`);
    } catch {
      return [];
    }
  });
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const env = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], env, stdin: "null" }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot run ${command}: ${decoder.decode(stdout)}${decoder.decode(stderr)}`);
}
