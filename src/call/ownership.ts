import { Fault } from "../domain/fault.ts";
import { OWNED_ID, type OwnedKind } from "../domain/owned.ts";
import type { Provider } from "../domain/provider.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import { authenticate } from "./authenticate.ts";
import { MAX_NAMED } from "./body_scan.ts";
import type { Deps, IncomingCall } from "./deps.ts";

/**
 * Rejects with `Fault` `not_owned` unless that workspace owns a thing of that kind and id. Resolves
 * to the id of the credential that holds it, or null as `Owner` says.
 */
export async function assertOwner(
  thing: { readonly kind: OwnedKind; readonly id: string },
  options: { readonly sandbox: Sandbox; readonly deps: Pick<Deps, "owners"> },
): Promise<string | null> {
  const { sandbox, deps } = options;
  const owner = OWNED_ID.test(thing.id) ? (await deps.owners.ownersOf([thing.id])).get(thing.id) : undefined;
  if (owner?.workspaceId !== sandbox.workspaceId || owner.kind !== thing.kind) throw notOwned(thing.kind);
  return owner.credentialId;
}

/**
 * Rejects with `Fault` `not_owned` if a body names a thing that is not the workspace's own. An id
 * that has no owner and does not look like the upstream's may pass: a client's own tools may have a
 * parameter of that name. Resolves to the credential that holds the first thing, or null.
 */
export async function assertOwnThings(
  named: readonly string[],
  options: { readonly sandbox: Sandbox; readonly provider: Pick<Provider, "owned">; readonly deps: Pick<Deps, "owners"> },
): Promise<string | null> {
  if (named.length === 0) return null;
  if (named.length > MAX_NAMED) throw notOwned("thing");
  const { sandbox, provider: { owned }, deps } = options;
  const owners = await deps.owners.ownersOf(named.filter((id) => OWNED_ID.test(id)));
  for (const id of named) {
    const owner = owners.get(id);
    const isUpstreams = owned.prefixes.some((prefix) => id.startsWith(prefix));
    if (owner === undefined ? isUpstreams : owner.workspaceId !== sandbox.workspaceId) throw notOwned(owner?.kind ?? "thing");
  }
  const [first] = owners.values();
  return first?.credentialId ?? null;
}

/**
 * Rejects with `Fault` `path_not_allowed`, once the caller is known: lists show what belongs to
 * every workspace behind the operator's key.
 */
export async function refuseListing(incoming: IncomingCall, deps: Deps): Promise<never> {
  const { sandbox } = await authenticate(incoming, deps);
  const message = "This endpoint shows or changes what belongs to other workspaces too, so it is closed.";
  throw new Fault("path_not_allowed", message, { sandbox });
}

function notOwned(kind: OwnedKind | "thing"): Fault {
  return new Fault("not_owned", `This workspace has no ${kind.replace("_", " ")} of that id.`);
}
