/** What is costly to make is kept outside the tree, so that a machine makes it once. */

export function testCacheFolder(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "."}/.cache`;
  return `${base}/llmproxy-tests`;
}

export function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/**
 * Copies the folder there. Another run may do the same now: the copy gets its name once it is
 * whole.
 */
export async function keepFolder(folder: string, kept: string): Promise<void> {
  const partial = `${kept}.${crypto.randomUUID()}`;
  await Deno.mkdir(kept.slice(0, kept.lastIndexOf("/")), { recursive: true });
  try {
    const { success, stderr } = await new Deno.Command("cp", { args: ["-R", folder, partial] }).output();
    if (!success) throw new Error(`Cannot keep ${folder}: ${new TextDecoder().decode(stderr)}`);
    await Deno.rename(partial, kept).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists) && !/not empty|exist/i.test(String(error))) throw error;
    });
  } finally {
    await Deno.remove(partial, { recursive: true }).catch(() => {});
  }
}
