import { join } from "node:path";
import { z } from "zod";
import type { SuspensionScope } from "../domain/suspensions.ts";

const scopesShape = z.array(z.object({ workspaceId: z.string(), sandboxId: z.string().nullable() }));

/** The last known suspensions, for a start that cannot read them. */
export interface SuspensionCopy {
  /** Empty if there is no copy, or no sound one. */
  readonly read: () => readonly SuspensionScope[];
  /** Throws if it cannot write; then the earlier copy stays. */
  readonly write: (all: readonly SuspensionScope[]) => void;
}

/** A file of the data directory. Its rename makes it whole or not at all. */
export function suspensionCopyIn(dataDir: string): SuspensionCopy {
  const path = join(dataDir, "suspensions.json");
  return {
    read() {
      try {
        return scopesShape.parse(JSON.parse(Deno.readTextFileSync(path)));
      } catch {
        return [];
      }
    },
    write(all) {
      const scopes = all.map(({ workspaceId, sandboxId }) => ({ workspaceId, sandboxId }));
      Deno.writeTextFileSync(`${path}.new`, JSON.stringify(scopes), { mode: 0o600 });
      Deno.renameSync(`${path}.new`, path);
    },
  };
}
