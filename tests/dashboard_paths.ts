/** Where the pages of the dashboard are, for tests that try each row of its table. */
import assert from "node:assert/strict";
import type { Page } from "../src/http/dashboard/page.ts";
import { PAGES } from "../src/http/dashboard/pages.ts";

/** What stands in paths. */
export interface NamesInPaths {
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly traceId: string;
}

const PARAMS: Readonly<Record<string, keyof NamesInPaths>> = {
  ":id": "traceId",
  ":workspace": "workspaceId",
  ":sandbox": "sandboxId",
};

/** The page's path about these names. Fails for a parameter that no name is known for. */
export function pathOf({ path }: Pick<Page, "path">, names: NamesInPaths): string {
  return path.replace(/:\w+/g, (param) => encodeURIComponent(names[PARAMS[param] ?? assert.fail(`a name for ${param}`)]));
}

/** Every path at which a form changes something. */
export function actionPaths(names: NamesInPaths): readonly string[] {
  return PAGES.flatMap((page) => (page.actions ?? []).map(({ name }) => `${pathOf(page, names)}/${name}`));
}

/** A stream of events has no end, so no browser can show it. */
export function isEvents({ path }: Pick<Page, "path">): boolean {
  return path.endsWith("/events");
}
