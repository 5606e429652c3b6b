/** The files of this repository, for the tests that hold the house's rules. */

const ROOT = new URL("../", import.meta.url);
/** Folders and files that are not ours, or hold what was built or recorded. */
const NOT_OURS = [".git", "node_modules", "data", "coverage", "llmproxy"];

/** Paths from the root of all files in a folder; `""` is the root, others end with a slash. */
export function listFiles(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap((entry) => {
    const path = folder + entry.name;
    if (NOT_OURS.includes(path)) return [];
    return entry.isDirectory ? listFiles(`${path}/`) : [path];
  });
}

export function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

export function exists(path: string): boolean {
  try {
    Deno.statSync(new URL(path, ROOT));
    return true;
  } catch {
    return false;
  }
}
