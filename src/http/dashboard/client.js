/** What pages do in the browser: times in the viewer's zone, the theme, charts and live parts. */

const CHART_HEIGHT = 220;
/** The script that draws charts, once it is asked for. */
let library;

keepZone();
for (const time of document.querySelectorAll("time")) localise(time);
document.getElementById("theme")?.addEventListener("click", changeTheme);
for (const plot of document.querySelectorAll("[data-chart]")) void draw(plot);
for (const place of document.querySelectorAll("[data-events]")) follow(place);

/** The next page comes with times in this zone. */
function keepZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.cookie = `llmproxy_zone=${encodeURIComponent(zone)}; path=/dashboard; max-age=31536000; samesite=lax`;
}

function localise(time) {
  const at = time.getAttribute("datetime");
  if (at !== null) time.textContent = new Date(at).toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "medium" });
}

function changeTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme === undefined
    ? matchMedia("(prefers-color-scheme: dark)").matches
    : root.dataset.theme === "dark";
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  for (const plot of document.querySelectorAll("[data-chart]")) void draw(plot);
}

function load(path) {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = path;
    script.addEventListener("load", () => resolve());
    script.addEventListener("error", reject);
    document.head.append(script);
  });
  return library;
}

async function draw(plot) {
  await load(plot.dataset.library ?? "");
  const data = JSON.parse(plot.dataset.chart ?? "null");
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const isBars = data.kind === "bars";
  // Bars stand on one another: each series is drawn with those below it, the tallest first.
  const heights = isBars ? stacked(data.series) : data.series.map((one) => one.values);
  const uPlot = globalThis.uPlot;
  const bars = isBars ? { paths: uPlot.paths.bars({ size: [0.8, 60] }), points: { show: false } } : {};
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const count = data.series.length;
  const order = [...Array(count).keys()].reverse();
  const series = order.map((n) => ({
    label: data.series[n].name,
    stroke: colour(`--series-${n % 6 + 1}`),
    fill: isBars ? colour(`--series-${n % 6 + 1}`) : undefined,
    width: 2,
    spanGaps: false,
    value: (_, __, ___, at) => at === null ? "–" : shown(data.series[n].values[at], data.unit),
    ...bars,
  }));
  plot.replaceChildren();
  const chart = new uPlot(
    {
      width: plot.clientWidth,
      height: CHART_HEIGHT,
      series: [{ value: "{YYYY}-{MM}-{DD} {HH}:{mm}" }, ...series],
      axes: [{ ...axis, values: (_, at) => at.map((seconds) => timeShown(seconds * 1000, data.step)) }, {
        ...axis,
        size: 64,
        values: (_, at) => at.map((v) => shown(v, data.unit)),
      }],
      tzDate: (seconds) => data.step === "day" ? uPlot.tzDate(new Date(seconds * 1000), "UTC") : new Date(seconds * 1000),
      scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.05 : 1] } },
    },
    [data.at.map((at) => at / 1000), ...order.map((n) => heights[n])],
    plot,
  );
  const resized = new ResizeObserver(() => {
    if (!plot.contains(chart.root)) return resized.disconnect();
    if (chart.width !== plot.clientWidth) chart.setSize({ width: plot.clientWidth, height: CHART_HEIGHT });
  });
  resized.observe(plot);
}

function stacked(series) {
  let below = series[0]?.values.map(() => 0) ?? [];
  return series.map(({ values }) => {
    below = values.map((value, n) => (value ?? 0) + (below[n] ?? 0));
    return below;
  });
}

/** Days are UTC, in every zone. */
function timeShown(at, step) {
  const date = new Date(at);
  if (step === "day") return date.toISOString().slice(5, 10);
  return date.toLocaleTimeString("sv-SE", { timeStyle: "short" }) === "00:00"
    ? date.toLocaleDateString("sv-SE").slice(5)
    : date.toLocaleTimeString("sv-SE", { timeStyle: "short" });
}

function shown(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "ms") return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
  const number = new Intl.NumberFormat("en-US", {
    notation: value >= 10000 ? "compact" : "standard",
    maximumSignificantDigits: 4,
  });
  return unit === "usd" ? `$${number.format(value)}` : number.format(value);
}

/**
 * Parts of the page that the server sends again: each message is JSON of HTML by element id. The
 * browser reconnects by itself.
 */
function follow(place) {
  const events = new EventSource(place.dataset.events ?? "");
  events.addEventListener("open", () => place.classList.remove("stale"));
  events.addEventListener("error", () => place.classList.add("stale"));
  events.addEventListener("message", ({ data }) => {
    for (const [id, html] of Object.entries(JSON.parse(data))) {
      const part = document.getElementById(id);
      if (part === null) continue;
      part.innerHTML = html;
      for (const time of part.querySelectorAll("time")) localise(time);
    }
  });
  addEventListener("pagehide", () => events.close());
}
