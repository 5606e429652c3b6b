import { resumed, suspended } from "../../suspensions.ts";
import { linkTo } from "../links.ts";
import type { FormSent, PageAction } from "../page.ts";
import { clearLimit, setLimit } from "./limits.tsx";
import { limitPlaceOf, type Place, placeOf, placePath, scopeOf } from "./place.ts";
import { makeToken, revokeIn } from "./tokens.tsx";

/** What was done, as the page says it afterwards. */
export const DONE = {
  limit: "The limit is set.",
  "limit-clear": "The limit is removed.",
  suspend: "It is suspended: its calls are refused, and those in flight are cut.",
  resume: "It is served again.",
  revoke: "The token is revoked.",
} as const;

export type Done = keyof typeof DONE;

/** The forms of the page of a workspace or a sandbox. */
export function placeActions(what: "workspace" | "sandbox"): readonly PageAction[] {
  const doing = (name: Done, work: (sent: FormSent, place: Place) => Promise<unknown>): PageAction => ({
    name,
    run: async (sent) => {
      const place = placeOf(sent, what);
      await work(sent, place);
      return linkTo(new URL(placePath(place), sent.url), { done: name });
    },
  });
  return [
    doing("limit", (sent, place) => setLimit(sent, limitPlaceOf(place))),
    doing("limit-clear", (sent, place) => clearLimit(sent, limitPlaceOf(place))),
    doing("suspend", ({ form, by, deps }, place) => {
      return suspended({ reason: form.reason?.trim() || null }, scopeOf(place), { ...deps, by });
    }),
    doing("resume", ({ by, deps }, place) => resumed(scopeOf(place), { ...deps, by })),
    doing("revoke", (sent) => revokeIn(sent)),
    { name: "token", run: (sent) => makeToken(sent, placeOf(sent, what)) },
  ];
}
