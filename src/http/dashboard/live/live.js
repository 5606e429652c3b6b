/** The live page: rows change in place while calls run. */

for (const place of document.querySelectorAll("[data-calls]")) watchCalls(place);

function watchCalls(place) {
  const part = (name) => place.querySelector(`[data-part="${name}"]`);
  const body = place.querySelector("tbody");
  const heads = [...place.querySelectorAll("th")];
  /** The places of the cells that change, by name. */
  const places = new Map(heads.flatMap((head, n) => head.dataset.live === undefined ? [] : [[head.dataset.live, n]]));
  const [sum, status, pause] = [part("sum"), part("status"), part("pause")];
  /** How long a row that has ended keeps its place. */
  const KEPT_MS = 3000;
  const SAY_MS = 30000;
  const RETRY_MS = 5000;
  /** By call. */
  const rows = new Map();
  let events = null;
  let isPaused = false;
  let saidAt = 0;

  for (const row of body.rows) adopt(row);
  pause.hidden = false;
  pause.addEventListener("click", () => isPaused ? resume() : stop());
  addEventListener("pagehide", () => events?.close());
  setInterval(countAges, 1000);
  follow();

  function follow() {
    events = new EventSource(place.dataset.calls);
    events.addEventListener("open", () => {
      place.classList.remove("stale");
      say("Live");
    });
    events.addEventListener("message", ({ data }) => take(JSON.parse(data)));
    events.addEventListener("error", () => {
      lost("The connection is lost. Trying again…");
      // The browser itself goes on only if the answer was a stream.
      if (events.readyState === EventSource.CLOSED) later();
    });
    events.addEventListener("end", ({ data }) => {
      events.close();
      if (data === "signed-out") return lost("Your session has ended. Reload the page to sign in.");
      lost(data === "draining" ? "The proxy is stopping. Trying again…" : "The proxy cannot list its calls. Trying again…");
      later();
    });
  }

  function lost(words) {
    place.classList.add("stale");
    say(words);
  }

  function later() {
    const closed = events;
    setTimeout(() => events === closed && !isPaused && follow(), RETRY_MS);
  }

  function stop() {
    isPaused = true;
    events.close();
    pause.textContent = "Go on";
    say(`Paused at ${new Date().toLocaleTimeString("sv-SE")}`);
  }

  function resume() {
    isPaused = false;
    pause.textContent = "Pause";
    follow();
  }

  function say(words) {
    saidAt = performance.now();
    if (status.textContent !== words) status.textContent = words;
  }

  function take(news) {
    const there = new Set((news.added ?? []).map(([id]) => id));
    if (news.isFirst) { for (const id of [...rows.keys()]) if (!there.has(id)) end(id); }
    for (const id of news.gone ?? []) end(id);
    for (const [id, html] of news.added ?? []) add(id, html);
    for (const [id, cells] of news.changed ?? []) change(rows.get(id), cells);
    if (news.refused !== undefined) showRefused(news.refused);
    if (sum.textContent !== news.sum) sum.textContent = news.sum;
    if (performance.now() - saidAt > SAY_MS) say(`Live: ${news.sum}`);
  }

  /** Later pages of the table stay as they are. */
  function showRefused(html) {
    const refused = document.getElementById("refused-calls");
    if (refused === null) return;
    refused.innerHTML = html;
    for (const time of refused.querySelectorAll("time")) localise(time);
  }

  function adopt(row) {
    row.beganAt = performance.now() - Number(row.dataset.age);
    rows.set(row.dataset.call, row);
  }

  function add(id, html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    const fresh = template.content.firstElementChild;
    const same = rows.get(id);
    if (same !== undefined) {
      return change(same, Object.fromEntries([...places].map(([name, n]) => [name, fresh.cells[n].textContent])));
    }
    const free = [...body.rows].find(isFree);
    if (free === undefined) body.append(fresh);
    else free.replaceWith(fresh);
    adopt(fresh);
  }

  /** A row that someone points at or has the focus in keeps its place. */
  function isFree(row) {
    const isOld = row.endedAt !== undefined && performance.now() - row.endedAt > KEPT_MS;
    return isOld && !row.contains(document.activeElement) && !row.matches(":hover");
  }

  function change(row, cells) {
    if (row === undefined) return;
    for (const [name, text] of Object.entries(cells)) {
      const cell = row.cells[places.get(name)];
      if (cell.textContent !== text) cell.textContent = text;
    }
  }

  function end(id) {
    const row = rows.get(id);
    if (row === undefined) return;
    rows.delete(id);
    row.endedAt = performance.now();
    row.classList.add("ended");
    change(row, { state: "ended" });
  }

  function countAges() {
    if (isPaused) return;
    const now = performance.now();
    for (const row of rows.values()) change(row, { age: ageText(now - row.beganAt) });
    for (let last = body.rows[body.rows.length - 1]; last !== undefined && isFree(last);) {
      last.remove();
      last = body.rows[body.rows.length - 1];
    }
  }

  function ageText(ms) {
    const seconds = Math.floor(ms / 1000);
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  }

  const dialog = place.querySelector("dialog");
  body.addEventListener("click", (event) => {
    const link = event.target.closest("a.cut");
    if (link === null || dialog === null || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    const row = link.closest("tr");
    const cell = (name) => row.cells[places.get(name)].textContent;
    dialog.querySelector("[name=id]").value = row.dataset.call;
    dialog.querySelector("[data-part=asked]").textContent = `${link.getAttribute("aria-label")}? Its call has run for ${
      cell("age")
    } and cost ${cell("cost")} so far.`;
    dialog.showModal();
  });
}
