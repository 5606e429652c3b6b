import { CommandFailure } from "./system.ts";

/** A file that is there whole or not at all. */
export interface OutputFile {
  /** Where it is while it is being written. */
  readonly partialPath: string;
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** All of it is on the disk. Nothing more can be written. */
  readonly finish: () => Promise<void>;
  /** Gives the finished file its name, over whatever had it. */
  readonly rename: () => Promise<void>;
  readonly discard: () => Promise<void>;
}

/** Begins `path`.partial, readable by its owner only: what is taken out is for whoever asked. Rejects with `CommandFailure`. */
export async function beginFile(path: string): Promise<OutputFile> {
  const partialPath = `${path}.partial`;
  const file = await Deno.open(partialPath, { write: true, create: true, truncate: true, mode: 0o600 }).catch((cause) => {
    throw new CommandFailure(`Cannot write ${partialPath}: ${cause.message}`, { cause });
  });
  let isOpen = true;
  function close(): void {
    if (isOpen) file.close();
    isOpen = false;
  }
  return {
    partialPath,
    write: async (bytes) => {
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    },
    finish: async () => {
      await file.sync();
      close();
    },
    rename: () => Deno.rename(partialPath, path),
    discard: async () => {
      close();
      await Deno.remove(partialPath).catch(() => {});
    },
  };
}
