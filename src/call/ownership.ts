import { Fault } from "../domain/fault.ts";
import { OWNED_ID, type OwnedKind } from "../domain/owned.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import { authenticate } from "./authenticate.ts";
import type { Deps, IncomingCall } from "./deps.ts";

/** More files than one request can use. */
export const MAX_NAMED = 10_000;

/** All ids of files that the upstream makes begin so. */
const FILE_ID_PREFIX = "file_";

/** Throws `Fault` `not_owned` where the id is not of that workspace and kind, whether another has it or nobody. */
export async function assertOwner(
  thing: { readonly kind: OwnedKind; readonly id: string },
  options: { readonly sandbox: Sandbox; readonly deps: Pick<Deps, "owners"> },
): Promise<void> {
  const { sandbox, deps } = options;
  const owner = OWNED_ID.test(thing.id) ? (await deps.owners.ownersOf([thing.id])).get(thing.id) : undefined;
  if (owner?.workspaceId !== sandbox.workspaceId || owner.kind !== thing.kind) throw notOwned(thing.kind);
}

/**
 * Throws `Fault` `not_owned` where a body names a file of another workspace, or one that nobody here has made. A client's own
 * tools may have a parameter of that name too: what does not look like a file of the upstream's is none, unless somebody owns it.
 */
export async function assertOwnFiles(
  named: readonly string[],
  options: { readonly sandbox: Sandbox; readonly deps: Pick<Deps, "owners"> },
): Promise<void> {
  if (named.length === 0) return;
  const ids = [...new Set(named)];
  if (ids.length > MAX_NAMED) throw notOwned("file");
  const { sandbox, deps } = options;
  const owners = await deps.owners.ownersOf(ids.filter((id) => OWNED_ID.test(id)));
  for (const id of ids) {
    const owner = owners.get(id);
    const isOwn = owner === undefined ? !id.startsWith(FILE_ID_PREFIX) : owner.workspaceId === sandbox.workspaceId;
    if (!isOwn) throw notOwned("file");
  }
}

/** Lists show what belongs to everybody behind the key. Rejects with `Fault` `path_not_allowed`, for those who may call at all. */
export async function closed(arrival: IncomingCall, deps: Deps): Promise<never> {
  await authenticate(arrival, deps);
  throw new Fault("path_not_allowed", "This endpoint shows or changes what belongs to other workspaces too, so it is closed.");
}

function notOwned(kind: OwnedKind): Fault {
  return new Fault("not_owned", `This workspace has no ${kind} of that id.`);
}
