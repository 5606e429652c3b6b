/** Starts, awaits and measures the processes of a bench, through /proc of Linux. */

/** Clock ticks a second in /proc/PID/stat: 100 on every Linux with Deno (`getconf CLK_TCK`). */
const TICKS_A_SECOND = 100;
const START_MS = 30_000;
const POLL_MS = 20;

const started = new Set<Running>();
const TASKSET = findProgram("taskset");
export const MACHINE_CORES = machineStat().match(/^cpu\d/gm)!.length;
/** The cores that this process may use at its start, such as `0-3,6`. */
const OWN_CORES = Deno.readTextFileSync("/proc/self/status").match(/Cpus_allowed_list:\s+(\S+)/)![1]!;
const [RELAY_CORE, GENERATOR_CORE] = coreNumbers(OWN_CORES);

export interface Running {
  readonly pid: number;
  /** Ends it and resolves when it is gone. */
  readonly stop: () => Promise<void>;
}

/**
 * Where processes may run. With two cores relays have the first, upstream and generator the second.
 */
export type Place = "relays" | "generator" | "anywhere";

/** False if this machine has one core or no `taskset`. */
export const canPin = TASKSET !== null && GENERATOR_CORE !== undefined;

interface StartOptions {
  /** The file for its output. */
  readonly log: string;
  /** Its environment, besides what Deno and npm need. */
  readonly env: Readonly<Record<string, string>>;
  readonly place: Place;
}

/** Starts a program. */
export function startProcess(command: string, args: readonly string[], options: StartOptions): Running {
  // A child's output can go to a file only through a shell; `exec` leaves no shell behind.
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", options.log, ...pinned(options.place), command, ...args],
    clearEnv: true,
    env: { ...ownEnvironment(), ...options.env },
    stdin: "null",
  }).spawn();
  const process = {
    pid: child.pid,
    stop: async () => {
      started.delete(process);
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended already.
      }
      await child.status;
    },
  };
  started.add(process);
  return process;
}

/** Ends every process that was started and not stopped. */
export async function stopAll(): Promise<void> {
  await Promise.all([...started].map((process) => process.stop()));
}

export function startDeno(args: readonly string[], options: StartOptions): Running {
  const [command, ...rest] = denoCommand(args);
  return startProcess(command!, rest, options);
}

export function denoCommand(args: readonly string[]): string[] {
  return [Deno.execPath(), "run", "-A", "--no-check", ...args];
}

/** Moves this process, with all its threads. */
export async function moveSelf(place: Place): Promise<void> {
  if (canPin) await runToEnd(TASKSET!, ["-acp", coresOf(place), String(Deno.pid)]);
}

function pinned(place: Place): readonly string[] {
  return canPin ? [TASKSET!, "-c", coresOf(place)] : [];
}

function coresOf(place: Place): string {
  return place === "anywhere" ? OWN_CORES : String(place === "relays" ? RELAY_CORE : GENERATOR_CORE);
}

function coreNumbers(list: string): number[] {
  return list.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return Array.from({ length: last! - first! + 1 }, (_, index) => first! + index);
  });
}

/** Runs a program and returns what it printed; throws if it fails. */
export async function runToEnd(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], env: { ...env } }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${command} ${args.join(" ")} failed: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

export function findProgram(name: string): string | null {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin"];
  return folders.map((folder) => `${folder}/${name}`).find(isFile) ?? null;
}

export function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** CPU time of processes so far, milliseconds, in steps of 10. */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    // The name, in brackets, may hold anything. utime and stime are the 12th and 13th fields after
    // it (proc(5)).
    const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /s, "").split(" ");
    return sum + (Number(fields[11]) + Number(fields[12])) * 1000 / TICKS_A_SECOND;
  }, 0);
}

/** CPU time of everything on this machine so far, and what its host took away; milliseconds. */
export function machineMs(): number {
  const [user, nice, system, _idle, _wait, irq, softirq, steal] = machineStat().split(/\s+/).slice(1).map(Number);
  return (user! + nice! + system! + irq! + softirq! + steal!) * 1000 / TICKS_A_SECOND;
}

function machineStat(): string {
  return Deno.readTextFileSync("/proc/stat");
}

/** Resident memory of processes, MB; counts shared memory for each. */
export function rssMb(pids: readonly number[]): number {
  const kilobytes = pids.map((pid) => Deno.readTextFileSync(`/proc/${pid}/status`).match(/VmRSS:\s+(\d+)/)?.[1]);
  return kilobytes.reduce((sum, value) => sum + Number(value ?? 0) / 1024, 0);
}

/** Ports that are free now, all different. */
export function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map((listener) => (listener.addr as Deno.NetAddr).port);
  for (const listener of listeners) listener.close();
  return ports;
}

/** Resolves when `path` on that port answers 200; without a path, when the port accepts. */
export async function answering(port: number, path: string | null): Promise<void> {
  const deadline = performance.now() + START_MS;
  for (let last: unknown = null;; await new Promise((resolve) => setTimeout(resolve, POLL_MS))) {
    if (performance.now() > deadline) throw new Error(`nothing answers on port ${port}: ${last}`);
    try {
      if (path === null) {
        (await Deno.connect({ hostname: "127.0.0.1", port })).close();
        return;
      }
      const answer = await fetch(`http://127.0.0.1:${port}${path}`);
      last = `${answer.status} ${await answer.text()}`;
      if (answer.ok) return;
    } catch (error) {
      last = error;
    }
  }
}

/** A process and its children. */
export function family(pid: number): number[] {
  const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim();
  return [pid, ...children.split(" ").filter((text) => text !== "").map(Number)];
}

function ownEnvironment(): Record<string, string> {
  const names = ["PATH", "HOME", "DENO_DIR", "TMPDIR"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}
