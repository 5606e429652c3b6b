import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { type Finding, findingsOf, wordsOfError } from "./finding.ts";

const MB = 1_000_000;
/** Below it the proxy takes no calls (decision 0044). */
const RESERVE_BYTES = 64 * 1_048_576;
const LOW_BYTES = 1_000 * MB;
const LOW_SHARE = 0.05;

/** `f_type` of statfs(2) by the kernel's `magic.h`: what other machines or no disk hold. */
const SHARED_TYPES: Readonly<Record<number, string>> = {
  0x6969: "NFS",
  0x517b: "SMB",
  0xff534d42: "CIFS",
  0xfe534d42: "SMB2",
  0x01021997: "9p",
  0x00c36400: "Ceph",
  0x47504653: "GPFS",
  0x0bd00bd0: "Lustre",
};
const TMPFS = 0x01021994;

/** Files that hold secrets or tenants' calls. */
const PRIVATE_FILES = /^(admin-token|llmproxy\.db|spool-\d+\.db)(-wal|-shm)?$/;

const directory = findingsOf("data directory");
const disk = findingsOf("disk");

/** The data directory: whether the proxy can use it, and whether others can read it. */
export function examineDataDir(path: string): readonly Finding[] {
  const found = statOf(path);
  if (found instanceof Error) {
    return [directory.failed(`${path} cannot be looked at: ${found.message}`, "Run doctor as the user that runs the proxy.")];
  }
  if (found === null) return [ofMissing(path)];
  if (!found.isDirectory) {
    return [directory.failed(`${path} is no directory`, "Set LLMPROXY_DATA_DIR to a directory, or remove that file.")];
  }
  return [...ofFiles(path, found), ofWriting(path), ...ofDisk(path)];
}

function statOf(path: string): Deno.FileInfo | Error | null {
  try {
    return Deno.statSync(path);
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? null : new Error(wordsOfError(error), { cause: error });
  }
}

/** `serve` makes it, with all that is above it. */
function ofMissing(path: string): Finding {
  let above = dirname(path);
  while (statOf(above) === null && dirname(above) !== above) above = dirname(above);
  const fault = faultOfWriting(above);
  return fault === null ? directory.ok(`${path} is not there yet; serve makes it`) : directory.failed(
    `${path} is not there, and ${above} cannot be written: ${fault}`,
    "Make the directory for the user that runs the proxy.",
  );
}

function ofWriting(path: string): Finding {
  const fault = faultOfWriting(path);
  return fault === null ? directory.ok(`${path} can be written`) : directory.failed(
    `${path} cannot be written: ${fault}`,
    "Run doctor as the user that runs the proxy. If it is that user, give it the directory: chown -R USER DIRECTORY.",
  );
}

/** Why this user cannot make a file there; null if it can. */
function faultOfWriting(path: string): string | null {
  try {
    const file = Deno.makeTempFileSync({ dir: path, prefix: ".llmproxy-doctor-" });
    Deno.removeSync(file);
    return null;
  } catch (error) {
    return wordsOfError(error).split(": ")[0]!;
  }
}

function ofFiles(path: string, { uid: owner, mode }: Deno.FileInfo): readonly Finding[] {
  const files = [...readDir(path)].filter((name) => PRIVATE_FILES.test(name)).sort();
  const infos = files.map((name) => ({ name, info: statOf(`${path}/${name}`) }));
  const open = infos.filter(({ info }) => isInfo(info) && isOpen(info.mode ?? 0, mode ?? 0)).map(({ name }) => name);
  const foreign = infos.filter(({ info }) => isInfo(info) && info.uid !== owner).map(({ name }) => name);
  return [
    ...open.length === 0 ? [] : [directory.failed(
      `Other users of this machine can read ${open.join(", ")} in ${path}`,
      `chmod go-rwx ${open.map((name) => `${path}/${name}`).join(" ")}; if admin-token is among them, make a new one: ` +
        "remove the file and restart the proxy.",
    )],
    ...foreign.length === 0 ? [] : [directory.failed(
      `${foreign.join(", ")} in ${path} belong to another user than the directory`,
      `chown --reference=${path} ${foreign.map((name) => `${path}/${name}`).join(" ")}`,
    )],
  ];
}

/** Group or others may read the file and get to it through the directory. */
function isOpen(file: number, directory: number): boolean {
  return ((file & 0o040) !== 0 && (directory & 0o010) !== 0) || ((file & 0o004) !== 0 && (directory & 0o001) !== 0);
}

function isInfo(info: Deno.FileInfo | Error | null): info is Deno.FileInfo {
  return info !== null && !(info instanceof Error);
}

function readDir(path: string): readonly string[] {
  try {
    return [...Deno.readDirSync(path)].map(({ name }) => name);
  } catch {
    // `ofWriting` says what is wrong.
    return [];
  }
}

function ofDisk(path: string): readonly Finding[] {
  const { type, bsize, blocks, bavail, files, ffree } = statfsSync(path);
  const shared = SHARED_TYPES[type];
  const space = spaceOf({ free: bavail * bsize, all: blocks * bsize, hasInodes: files === 0 || ffree > 0 });
  if (shared !== undefined) {
    return [
      disk.failed(`${path} is on ${shared}`, "SQLite needs a local disk: set LLMPROXY_DATA_DIR to one that outlives restarts."),
      space,
    ];
  }
  if (type !== TMPFS) return [space];
  return [
    disk.warning(`${path} is in memory (tmpfs)`, "A restart of the machine loses it. Set LLMPROXY_DATA_DIR to a disk."),
    space,
  ];
}

/** Bytes for this user, and of the whole volume. */
export function spaceOf(
  { free, all, hasInodes }: { readonly free: number; readonly all: number; readonly hasInodes: boolean },
): Finding {
  const says = `${gigabytes(free)} of ${gigabytes(all)} are free`;
  const advice = "Free space, or move the data directory. docs/operations.md says what grows and how to keep less.";
  if (!hasInodes) return disk.failed("The volume has no inode left", advice);
  if (free < RESERVE_BYTES) return disk.failed(`${says}: the proxy takes no calls below 64 MB`, advice);
  return free < LOW_BYTES || free < all * LOW_SHARE ? disk.warning(says, advice) : disk.ok(says);
}

function gigabytes(bytes: number): string {
  return `${(bytes / MB / 1_000).toFixed(1)} GB`;
}
