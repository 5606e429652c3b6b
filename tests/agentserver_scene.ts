/**
 * A control plane on loopback and an authority that asks it, for the tests of what stands between
 * the two.
 */
import assert from "node:assert/strict";
import { Fault, type FaultCode } from "../src/domain/fault.ts";
import type { LookupOutcome } from "../src/domain/observe.ts";
import type { Sandbox, SandboxOf } from "../src/domain/sandbox.ts";
import { agentserverSandboxOf } from "../src/identity/agentserver.ts";
import { type FakeAgentserver, startFakeAgentserver } from "./fake_agentserver.ts";

export const TOKEN = "proxy-token-of-sandbox-1";
export const SANDBOX: Sandbox = { sandboxId: "sb-1", workspaceId: "ws-1", tokenId: null };
export const GRACE_MS = 300_000;

export interface Scene {
  readonly control: FakeAgentserver;
  readonly sandboxOf: SandboxOf;
  readonly outcomes: LookupOutcome[];
  /** Everything that was noted, as text. */
  readonly notes: string[];
  pass(ms: number): void;
}

/**
 * A control plane that knows TOKEN, an authority over it, and a clock that stands still until told.
 */
export async function inScene(
  play: (scene: Scene) => Promise<void>,
  options: { readonly timeoutMs?: number; readonly path?: string } = {},
) {
  await using control = startFakeAgentserver();
  control.sandboxes.set(TOKEN, { sandbox_id: "sb-1", workspace_id: "ws-1", status: "running" });
  const outcomes: LookupOutcome[] = [];
  const notes: string[] = [];
  let at = 1_800_000_000_000;
  const sandboxOf = agentserverSandboxOf({
    url: control.url + (options.path ?? ""),
    fetch,
    now: () => at,
    observe: {
      lookedUp: (authority, outcome) => {
        assert.equal(authority, "agentserver");
        outcomes.push(outcome);
      },
      note: (level, message, fields) => void notes.push(`${level} ${message} ${JSON.stringify(fields)}`),
    },
    timeoutMs: options.timeoutMs ?? 5_000,
    graceMs: GRACE_MS,
  });
  await play({ control, sandboxOf, outcomes, notes, pass: (ms) => void (at += ms) });
}

export async function faultOf(asked: Promise<Sandbox>): Promise<Fault> {
  const fault = await asked.then(() => null, (error: unknown) => error);
  assert.ok(fault instanceof Fault, `expected a Fault, got ${fault}`);
  return fault;
}

export async function refuses(asked: Promise<Sandbox>, code: FaultCode): Promise<void> {
  assert.equal((await faultOf(asked)).code, code);
}
