import { AUDIT_PAGE } from "./audit/audit_page.tsx";
import { HEALTH_PAGE } from "./health/health_page.tsx";
import { CUT_PAGE, LIVE_EVENTS, LIVE_PAGE } from "./live/live_page.tsx";
import { GROUPS_PAGE } from "./overview/groups_page.tsx";
import { OVERVIEW_PAGE } from "./overview/overview_page.tsx";
import type { Page } from "./page.ts";
import { SANDBOX_PAGE, SANDBOXES_PAGE } from "./sandboxes/sandboxes_page.tsx";
import { TRACE_PAGE } from "./traces/trace_page.tsx";
import { TRACES_PAGE } from "./traces/traces_page.tsx";
import { WORKSPACE_PAGE, WORKSPACES_PAGE } from "./workspaces/workspaces_page.tsx";

/** The dashboard, in the order of its navigation. A new page is one folder and one row here. */
export const PAGES: readonly Page[] = [
  OVERVIEW_PAGE,
  GROUPS_PAGE,
  LIVE_PAGE,
  LIVE_EVENTS,
  CUT_PAGE,
  TRACES_PAGE,
  TRACE_PAGE,
  WORKSPACES_PAGE,
  WORKSPACE_PAGE,
  SANDBOXES_PAGE,
  SANDBOX_PAGE,
  HEALTH_PAGE,
  AUDIT_PAGE,
];
