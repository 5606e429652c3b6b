/** The process tree of a PostgreSQL server: gets signals as a whole and ends with its starter. */
import type { PostgresPrograms } from "./postgres_programs.ts";
import { waitFor } from "./wait.ts";

/** A busy machine takes its time; recovery after a crash is part of a start. */
const START_MS = 60_000;
const END_MS = 30_000;
/** PostgreSQL refuses to run as root. The first of these that /etc/passwd has runs it instead. */
const STAND_INS = ["postgres", "nobody"];

/**
 * Passes on the signals that it reads, one per line, and answers each with a line. Its input ends
 * with the test, however that ends. Then it wakes stopped processes, ends the server and removes
 * the folder. After LEAVE it only waits.
 */
const KEEPER = `
trap '' HUP INT PIPE QUIT TERM
folder=$1; shift
"$@" </dev/null >&2 & server=$!
exec 2>&-
echo "$server"
stopped=
while read -r signal pids; do
  [ "$signal" = LEAVE ] && { wait; exit; }
  [ "$signal" = STOP ] && stopped="$stopped $pids"
  kill -s "$signal" $pids
  echo done
done
kill -s CONT $stopped; kill -s QUIT "$server"; wait
rm -rf -- "$folder"
`;

export interface PostgresFolder {
  /** `remove` deletes it, and so does the keeper of a server that outlives its test. */
  readonly path: string;
  /** The user that runs the programs; empty if the tests' own user does. */
  readonly user: { readonly uid?: number; readonly gid?: number };
  /** `initdb`, `postgres`. */
  program(name: string): string;
  /** Writes a file that only the server's user can read; gives its path. */
  write(name: string, text: string): string;
  remove(): Promise<void>;
}

export interface PostgresProcess {
  /** A fast shutdown. Resolves when no process of the server is left. */
  stop(): Promise<void>;
  /** An immediate shutdown, frozen or not, and the folder goes with it. */
  discard(): Promise<void>;
  /** SIGKILL for the postmaster and all its children at once. Resolves when none is left. */
  kill(): Promise<void>;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** The server's log so far. */
  log(): string;
}

/** A new temporary folder of the server's user, with copies of the programs if they are needed. */
export async function makeFolder(programs: PostgresPrograms): Promise<PostgresFolder> {
  const path = Deno.makeTempDirSync({ prefix: "pg_" });
  const user: PostgresFolder["user"] = Deno.uid() === 0 ? standIn() : {};
  function own(target: string): string {
    if (user.uid !== undefined) Deno.chownSync(target, user.uid, user.gid ?? null);
    return target;
  }
  own(path);
  let bin = `${programs.folder}/bin`;
  if (programs.links !== null) {
    // Links cannot be made in npm's cache, and another user cannot read it.
    await run("cp", { args: ["-R", programs.folder, `${path}/programs`] });
    if (user.uid !== undefined) await run("chown", { args: ["-R", `${user.uid}:${user.gid}`, `${path}/programs`] });
    for (const { path: link, target } of programs.links) {
      const name = target.slice(target.lastIndexOf("/") + 1);
      Deno.symlinkSync(name, `${path}/programs/${link}`);
    }
    bin = `${path}/programs/bin`;
  }
  return {
    path,
    user,
    program: (name) => `${bin}/${name}`,
    write: (name, text) => {
      Deno.writeTextFileSync(`${path}/${name}`, text, { mode: 0o600 });
      return own(`${path}/${name}`);
    },
    remove: () => Deno.remove(path, { recursive: true }),
  };
}

/** Runs a program to its end, in the folder, as its user. Returns its output, or throws it. */
export async function run(
  command: string,
  { args, folder }: { readonly args: readonly string[]; readonly folder?: PostgresFolder },
): Promise<string> {
  const place = folder === undefined ? {} : { ...folder.user, cwd: folder.path };
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], ...place, env: { LC_ALL: "C" } })
    .output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot run ${command}: ${decoder.decode(stdout)}${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** Resolves when the server takes connections. Throws its log where it ends before. */
export async function startPostgresProcess(folder: PostgresFolder, args: readonly string[]): Promise<PostgresProcess> {
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", KEEPER, "keeper", folder.path, folder.program("postgres"), ...args],
    ...folder.user,
    cwd: folder.path,
    env: { LC_ALL: "C" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const orders = child.stdin.getWriter();
  const answers = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const life = { log: "", isOver: false };
  // The log's end is that of the last process of the server: each of them holds it.
  const over = gather(child.stderr, (text) => life.log += text).then(() => life.isOver = true);

  const server = Number((await answers.read()).value);
  async function signal(name: string, pids: readonly number[]): Promise<void> {
    await orders.write(new TextEncoder().encode(`${name} ${pids.join(" ")}\n`));
    await answers.read();
  }
  async function signalAll(name: string): Promise<void> {
    // Stopped first, the postmaster has no child that is not seen.
    await signal("STOP", [server]);
    await signal(name, [server, ...childrenOf(server)]);
  }
  async function leave(): Promise<void> {
    await waitFor(() => life.isOver, { what: `the PostgreSQL server to end: ${life.log}`, deadlineMs: END_MS });
    await orders.write(new TextEncoder().encode("LEAVE\n"));
    await closed();
  }
  async function closed(): Promise<void> {
    await orders.close();
    while (!(await answers.read()).done);
    await Promise.all([child.status, over]);
  }
  await waitFor(() => life.isOver || /ready to accept (read-only )?connections/.test(life.log), {
    what: "the PostgreSQL server to take connections",
    deadlineMs: START_MS,
  });
  if (life.isOver) {
    await leave();
    throw new Error(`Cannot start the PostgreSQL server: ${life.log}`);
  }
  return {
    stop: async () => {
      await signalAll("CONT");
      await signal("INT", [server]);
      await leave();
    },
    discard: closed,
    kill: async () => {
      await signalAll("KILL");
      await leave();
    },
    freeze: () => signalAll("STOP"),
    thaw: () => signalAll("CONT"),
    log: () => life.log,
  };
}

function standIn(): { readonly uid: number; readonly gid: number } {
  const users = Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => line.split(":"));
  for (const name of STAND_INS) {
    const user = users.find((fields) => fields[0] === name);
    if (user !== undefined) return { uid: Number(user[2]), gid: Number(user[3]) };
  }
  throw new Error(`Cannot run PostgreSQL as root: add a user ${STAND_INS.join(" or ")}, or run the tests as another user`);
}

/** Direct children: a server has no others. */
function childrenOf(pid: number): number[] {
  if (Deno.build.os !== "linux") {
    const { stdout } = new Deno.Command("ps", { args: ["-A", "-o", "pid=,ppid="] }).outputSync();
    const rows = new TextDecoder().decode(stdout).trim().split("\n").map((line) => line.trim().split(/\s+/).map(Number));
    return rows.filter(([, parent]) => parent === pid).map(([child]) => child!);
  }
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((id) => id > 0 && parentOf(id) === pid);
}

function parentOf(pid: number): number | null {
  try {
    // The program's name stands in parentheses and may hold anything.
    return Number(Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) \S+ /s, "").split(" ")[0]);
  } catch {
    return null;
  }
}

async function gather(stream: ReadableStream<Uint8Array<ArrayBuffer>>, onText: (text: string) => void): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) onText(text);
}
