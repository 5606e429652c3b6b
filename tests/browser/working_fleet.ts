/** A fleet that worked yesterday, and the people who look after it. */
import type { Browser } from "playwright-core";
import { eventStream, messageTo, paced } from "../fake_answers.ts";
import { messageEvents } from "../fake_messages.ts";
import { callAndRead } from "../metered_calls.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";
import { openWindow, type Person, type SignedIn, signIn, startChromium } from "./chromium.ts";

const VIEWER_TOKEN = "viewer-token-of-the-tests-0123456789";
/** Playwright's own deadline says too late that a page lacks something. */
const DEADLINE_MS = 15_000;
const DAY_MS = 24 * 3_600_000;
const DEAR = "claude-opus-4-8";
/** The agent that spends most, and what it works on. */
export const BUSY = { workspaceId: "acme", sandboxId: "sb-busy", traceId: "run-busy" };

export interface Fleet extends AsyncDisposable {
  readonly proxy: ProxyUnderTest;
  readonly browser: Browser;
  readonly open: (options: { readonly width?: number; readonly role?: "admin" | "viewer" }) => Promise<Person>;
}

/** A fleet that worked yesterday. Its clock is then today's. */
export async function openFleet(): Promise<Fleet> {
  let ahead = -DAY_MS;
  const now = () => Date.now() + ahead;
  const proxy = await startProxy({ env: { LLMPROXY_VIEWER_TOKEN: VIEWER_TOKEN }, system: { now } });
  await workYesterday(proxy);
  ahead = 0;
  const browser = await startChromium();
  const known = new Map<string, SignedIn>();
  return {
    proxy,
    browser,
    open: async ({ width = 1440, role = "admin" }) => {
      const token = role === "admin" ? proxy.adminToken : VIEWER_TOKEN;
      const storageState = known.get(role);
      const person = storageState === undefined
        ? await signIn(browser, { adminUrl: proxy.adminUrl, token }, { width })
        : await openWindow(browser, proxy.adminUrl, { width, storageState });
      known.set(role, await person.signedIn());
      person.page.setDefaultTimeout(DEADLINE_MS);
      return person;
    },
    [Symbol.asyncDispose]: async () => {
      await browser.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

async function workYesterday(proxy: ProxyUnderTest): Promise<void> {
  for (const [n, sandboxId] of ["sb-1", "sb-2", "sb-3"].entries()) {
    await callAndRead(proxy.url, { token: await proxy.token("acme", sandboxId), text: "hi", traceId: `run-${n}` });
  }
  await callAndRead(proxy.url, { token: await proxy.token("umbrella", "sb-1"), text: "hi", traceId: "run-u" });
  const token = await proxy.token(BUSY.workspaceId, BUSY.sandboxId);
  for (const agent of [null, "a-search", "a-search", "a-write"]) await busyCall(proxy, token, agent);
  await proxy.closedRows(8);
}

async function busyCall(proxy: ProxyUnderTest, token: string, agent: string | null): Promise<void> {
  const headers = {
    "x-trace-id": BUSY.traceId,
    ...(agent === null ? {} : { "x-claude-code-agent-id": agent, "x-claude-code-agent-type": "worker" }),
  };
  const init = messageCall(token, { text: "work", headers });
  const body = JSON.stringify({ ...JSON.parse(String(init.body)), model: DEAR });
  await (await fetch(`${proxy.url}/v1/messages`, { ...init, body })).text();
}

/** A call of the busy agent that streams a word every 50 ms for as long as the test needs. */
export async function runningCall({ proxy }: Pick<Fleet, "proxy">) {
  proxy.upstream.answer((call) =>
    eventStream(paced(messageEvents({ ...messageTo(call), deltas: 10_000 }), { paceMs: 50, gone: call.gone }))
  );
  const token = await proxy.token(BUSY.workspaceId, BUSY.sandboxId);
  let text = "";
  const answer = callAndRead(proxy.url, { token, text: "on", traceId: BUSY.traceId, onText: (all) => void (text = all) });
  await waitFor(() => text.includes("word-1"), { what: "the client's first words" });
  proxy.upstream.answer("default");
  return { token, answer };
}
