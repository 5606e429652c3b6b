/** The pictures in README.md and docs/, as `deno task screenshots` makes them. */

export interface Picture {
  /** `NAME-SCHEME.png` in `docs/images`. */
  readonly name: string;
  readonly scheme: "light" | "dark";
  /** CSS pixels, which are the picture's. */
  readonly width: number;
  readonly height: number;
  /** The table that stands at the top; if left out, the page's head does. */
  readonly from?: string;
  /** Of the dashboard, with what the demo has in it. */
  readonly pathOf: (demo: DemoNames) => string;
}

/** What the demo has in it. */
export interface DemoNames {
  /** The one that spent most yesterday. */
  readonly workspaceId: string;
  readonly traceId: string;
}

export const MOST_PICTURE_BYTES = 150_000;
const SCREEN = { width: 1440, height: 760 };
const PHONE = { width: 390, height: 844 };

export const PICTURES: readonly Picture[] = [
  ...inBothSchemes({ name: "overview", width: 1440, height: 870, pathOf: () => "/dashboard?range=7d" }),
  ...inBothSchemes({ name: "live", width: 1440, height: 640, pathOf: () => "/dashboard/live" }),
  ...inBothSchemes({
    ...{ name: "trace", ...SCREEN, from: "Agents" },
    pathOf: ({ traceId }) => `/dashboard/traces/${encodeURIComponent(traceId)}`,
  }),
  ...inBothSchemes({
    ...{ name: "workspace", ...SCREEN },
    pathOf: ({ workspaceId }) => `/dashboard/workspaces/${encodeURIComponent(workspaceId)}`,
  }),
  { name: "phone", scheme: "light", ...PHONE, pathOf: () => "/dashboard?range=yesterday" },
];

export function fileOf({ name, scheme }: Picture): string {
  return `${name}-${scheme}.png`;
}

function inBothSchemes(picture: Omit<Picture, "scheme">): readonly Picture[] {
  return (["light", "dark"] as const).map((scheme) => ({ ...picture, scheme }));
}
