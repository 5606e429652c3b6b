import { createHash } from "node:crypto";
import uplotScript from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import uplotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import clientScript from "./client.js" with { type: "text" };
import liveScript from "./live/live.js" with { type: "text" };
import liveStyle from "./live/live.css" with { type: "text" };
import icon from "./icon.svg" with { type: "text" };
import placesStyle from "./places/places.css" with { type: "text" };
import style from "./style.css" with { type: "text" };
import themeScript from "./theme.js" with { type: "text" };
import tracesStyle from "./traces/traces.css" with { type: "text" };

interface Asset {
  /** Changes with the content, so that browsers may keep it forever. */
  readonly path: string;
  readonly contentType: string;
  readonly text: string;
}

/** What pages load. All of it is in the program: nothing comes from another server. */
export const ASSETS = {
  style: asset("style.css", "text/css; charset=utf-8", `${uplotStyle}\n${style}\n${tracesStyle}\n${liveStyle}\n${placesStyle}`),
  /** Runs before anything is painted. */
  theme: asset("theme.js", "text/javascript; charset=utf-8", themeScript),
  charts: asset("charts.js", "text/javascript; charset=utf-8", uplotScript),
  client: asset("client.js", "text/javascript; charset=utf-8", `${clientScript}\n${liveScript}`),
  icon: asset("icon.svg", "image/svg+xml", icon),
} as const satisfies Record<string, Asset>;

function asset(name: string, contentType: string, text: string): Asset {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 12);
  return { path: `/dashboard/assets/${hash}/${name}`, contentType, text };
}
