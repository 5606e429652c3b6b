import type { Context } from "hono";
import type { Child } from "hono/jsx";
import { ASSETS } from "./assets.ts";
import type { Session } from "./session.ts";

interface DocumentParts {
  readonly title: string;
  readonly children: Child;
}

/** The document around everything. */
export function Document({ title, children }: DocumentParts) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>{`${title} · llmproxy`}</title>
        <link rel="icon" href={ASSETS.icon.path} />
        {/* Nothing is painted before all of it is here: later rows of a table would move the first. */}
        <link rel="expect" href="#end" blocking="render" />
        <link rel="stylesheet" href={ASSETS.style.path} />
        <script src={ASSETS.theme.path}></script>
        <script src={ASSETS.client.path} defer></script>
      </head>
      <body>
        {children}
        <div id="end"></div>
      </body>
    </html>
  );
}

interface NavigationRow {
  readonly path: string;
  readonly title: string;
}

export interface LayoutParts {
  readonly title: string;
  /** Of the page, as its row in the table has it. */
  readonly path: string;
  readonly navigation: readonly NavigationRow[];
  readonly session: Session;
  readonly formToken: string;
  readonly children: Child;
}

/** A page with its navigation, for someone who has signed in. */
export function Layout({ title, path, navigation, session, formToken, children }: LayoutParts) {
  return (
    <Document title={title}>
      <a class="skip" href="#main">Skip to the content</a>
      <header class="top">
        <a class="brand" href="/dashboard">llmproxy</a>
        <nav aria-label="Pages">
          {navigation.map((row) => (
            <a href={row.path} aria-current={isCurrent(row.path, path) ? "page" : undefined}>{row.title}</a>
          ))}
        </nav>
        <div class="who">
          <button type="button" id="theme" class="quiet" aria-label="Change between dark and light">◐</button>
          <span>{session.who ?? session.role}</span>
          <form method="post" action="/dashboard/sign-out">
            <FormToken value={formToken} />
            <button type="submit" class="quiet">Sign out</button>
          </form>
        </div>
      </header>
      <main id="main" tabindex={-1}>
        <h1>{title}</h1>
        {children}
      </main>
    </Document>
  );
}

export function FormToken({ value }: { readonly value: string }) {
  return <input type="hidden" name="form_token" value={value} />;
}

/** The traces page is also the place of a trace. */
function isCurrent(row: string, path: string): boolean {
  return path === row || (row !== "/dashboard" && path.startsWith(`${row}/`));
}

export function htmlOf(context: Context, body: unknown, status = 200): Response {
  return context.html(`<!doctype html>${body}`, status as 200);
}
