import { AUDIT_PAGE } from "./audit/audit_page.tsx";
import type { Page } from "./page.ts";

/** The dashboard, in the order of its navigation. A new page is one folder and one row here. */
export const PAGES: readonly Page[] = [AUDIT_PAGE];
