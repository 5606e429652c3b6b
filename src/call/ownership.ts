import { Fault } from "../domain/fault.ts";
import { OWNED_ID, type OwnedKind, type Owner } from "../domain/owned.ts";
import type { Provider } from "../domain/provider.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import { authenticate } from "./authenticate.ts";
import { MAX_NAMED, type NamedItems } from "./body_scan.ts";
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

/** What a request names. */
export interface Named {
  /** Strings that may be ids of things. */
  readonly things: readonly string[];
  readonly items?: NamedItems;
}

/** What of it the workspace owns. */
export interface OwnThings {
  /** The credential that holds the first one; null if it owns nothing, or as `Owner` says. */
  readonly heldBy: string | null;
  /** There is one. */
  readonly isAny: boolean;
}

/**
 * Rejects with `Fault` `not_owned` if a request names a thing or an item that is another
 * workspace's, or an unknown thing that looks like the upstream's. Other strings pass: a client's
 * own tools may have a parameter of that name, and clients make up ids of items.
 */
export async function assertOwnThings(
  { things, items = NO_ITEMS }: Named,
  options: { readonly sandbox: Sandbox; readonly provider: Pick<Provider, "owned">; readonly deps: Pick<Deps, "owners"> },
): Promise<OwnThings> {
  if (things.length === 0 && items.ids.length === 0) return NO_OWN_THINGS;
  if (things.length > MAX_NAMED || items.ids.length > MAX_NAMED) throw notOwned("thing");
  const { sandbox, provider: { owned: { prefixes } }, deps: { owners } } = options;
  const isUpstreams = (id: string) => prefixes.some((prefix) => id.startsWith(prefix));
  const ids = things.map((text) => text.trim()).filter((text) => !/\s/.test(text));
  const asked = ids.filter((id) => OWNED_ID.test(id) && (isUpstreams(id) || !isWord(id)));
  const found = asked.length === 0 ? NOBODY : await owners.ownersOf(asked);
  if (ids.some((id) => isUpstreams(id) && !found.has(id))) throw notOwned("thing");
  const askedItems = items.ids.map((id) => id.trim()).filter((id) => OWNED_ID.test(id) && !isWord(id));
  const foundItems = askedItems.length === 0 ? NOBODY : await owners.ownersOf(askedItems, { mayMiss: !items.areSure });
  const all = [...found.values(), ...foundItems.values()];
  const foreign = all.find(({ workspaceId }) => workspaceId !== sandbox.workspaceId);
  if (foreign !== undefined) throw notOwned(foreign.kind);
  return { heldBy: all[0]?.credentialId ?? null, isAny: found.size > 0 || (items.areSure && foundItems.size > 0) };
}

/**
 * What the target names: segments of its path and words of its query that look like the
 * upstream's. From the segment `from` on, any may be an id, because all is below an own thing.
 */
export function namedIn(target: string, { owned: { prefixes } }: Pick<Provider, "owned">, from = Infinity): Named {
  const isPlain = !/[%+]/.test(target) && !prefixes.some((prefix) => target.includes(prefix));
  if (isPlain && from === Infinity) return NOTHING_NAMED;
  const [path = "", query = ""] = target.split(/\?(.*)/s);
  const segments = path.split("/");
  const below = segments.slice(from);
  const texts = [...segments, ...query.split(/[&=]/).map(decoded)];
  const things = texts.filter((text) => prefixes.some((prefix) => text.trim().startsWith(prefix)));
  return { things, items: { ids: below, areSure: true } };
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

const NOBODY: ReadonlyMap<string, Owner> = new Map();
const NO_ITEMS: NamedItems = { ids: [], areSure: false };
const NOTHING_NAMED: Named = { things: [], items: { ids: [], areSure: true } };
const NO_OWN_THINGS: OwnThings = { heldBy: null, isAny: false };

/** `auto`, `input_items`: ids have digits or capitals. */
function isWord(text: string): boolean {
  return /^[a-z]+(?:[_-][a-z]+)*$/.test(text);
}

/** A word of a form as a server reads it (URL standard, "application/x-www-form-urlencoded"). */
function decoded(value: string): string {
  const plain = value.replaceAll("+", " ");
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
}

function notOwned(kind: OwnedKind | "thing"): Fault {
  return new Fault("not_owned", `This workspace has no ${kind.replace("_", " ")} of that id.`);
}
