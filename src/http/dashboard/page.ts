import type { Child } from "hono/jsx";
import type { Actor } from "../../domain/audit.ts";
import type { AdminDeps } from "../admin_route.ts";
import type { Session } from "./session.ts";

/** A request for a page, by someone who has signed in. */
export interface PageAsked {
  readonly request: Request;
  /** Of the request; a page reads its filters from its query. */
  readonly url: URL;
  /** A parameter of the path. Throws `AdminRefusal` for NUL. */
  readonly param: (name: string) => string;
  readonly session: Session;
  /** An IANA time zone. */
  readonly zone: string;
  /** What every form of the page sends back, as `form_token`. */
  readonly formToken: string;
  /** Whether the session still lasts, for answers that go on for long. */
  readonly isSignedIn: () => Promise<boolean>;
  readonly deps: AdminDeps;
}

/** Besides a page that a browser shows, a page answers with a file or a stream of events. */
export type Shown = PageBody | Response;

export interface PageBody {
  /** If left out, the page's. */
  readonly title?: string;
  readonly body: Child;
  /** 200 if left out. */
  readonly status?: number;
}

/** A form that an admin has sent. */
export interface FormSent extends PageAsked {
  readonly by: Actor;
  readonly form: Readonly<Record<string, string>>;
}

/** A change that a form of the page asks for. Only admins get this far. */
export interface PageAction {
  /** The last part of the path that the form is sent to: `cut` for `/dashboard/live/cut`. */
  readonly name: string;
  /**
   * Resolves to the path where the browser goes on, or to what is shown once and has no address.
   * Throws `AdminRefusal`.
   */
  readonly run: (sent: FormSent) => Promise<string | PageBody>;
}

/** One page of the dashboard: one folder, and one row in `pages.ts`. */
export interface Page {
  /** As Hono writes it: `/dashboard/traces/:id`. */
  readonly path: string;
  readonly title: string;
  /** It is no page for itself: the events or the question of another one. */
  readonly isPart?: true;
  /** It has a place in the navigation. */
  readonly isInNavigation?: true;
  /** Throws `AdminRefusal`, which becomes a page too. */
  readonly show: (asked: PageAsked) => Promise<Shown>;
  readonly actions?: readonly PageAction[];
}
