import type { Dice } from "./dice.ts";

/** What a model is asked through, as rows name it. */
export type DemoClient = "claude-code" | "opencode" | "anthropic-sdk-python";

export interface DemoSandbox {
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly client: DemoClient;
  readonly model: string;
  /** Sessions on a working day. */
  readonly sessionsPerDay: number;
  /** Hours by which its people are ahead of UTC. */
  readonly utcOffset: number;
  readonly inferenceGeo: string | null;
  readonly credentialId: string;
}

interface DemoWorkspace {
  readonly id: string;
  /** Of fifty sandboxes. */
  readonly sandboxes: number;
  readonly utcOffset: number;
  readonly models: readonly (readonly [weight: number, model: string])[];
  readonly clients: readonly (readonly [weight: number, client: DemoClient])[];
  readonly inferenceGeo?: string;
}

export const OPUS = "claude-opus-5-5";
export const SONNET = "claude-sonnet-5-5";
export const HAIKU = "claude-haiku-5-5";
/** A name that no price list has. */
export const UNPRICED = "claude-research-preview";

const CODERS = [[12, "claude-code"], [2, "opencode"]] as const;

/** The largest first. */
export const WORKSPACES: readonly DemoWorkspace[] = [
  { id: "checkout", sandboxes: 11, utcOffset: 1, models: [[5, SONNET], [3, OPUS]], clients: CODERS },
  { id: "search", sandboxes: 9, utcOffset: -5, models: [[3, SONNET], [3, OPUS]], clients: CODERS },
  { id: "mobile", sandboxes: 8, utcOffset: 1, models: [[6, SONNET], [1, "claude-opus-4-8"]], clients: CODERS },
  { id: "data-platform", sandboxes: 7, utcOffset: 5, models: [[4, SONNET], [2, HAIKU]], clients: CODERS },
  {
    id: "support-bots",
    sandboxes: 6,
    utcOffset: -5,
    models: [[4, HAIKU], [1, SONNET]],
    clients: [[1, "anthropic-sdk-python"]],
    inferenceGeo: "us",
  },
  { id: "infra", sandboxes: 4, utcOffset: 1, models: [[3, SONNET], [1, OPUS]], clients: CODERS },
  { id: "docs", sandboxes: 3, utcOffset: -8, models: [[1, "claude-haiku-4-5"], [1, SONNET]], clients: CODERS },
  { id: "research", sandboxes: 2, utcOffset: 1, models: [[2, OPUS], [1, UNPRICED]], clients: [[1, "claude-code"]] },
];

/** Two keys, as a fleet has that outgrew the rate limits of one. */
const CREDENTIALS = ["api-key-5f2c9ad1", "api-key-b80e4471"] as const;
const FULL_FLEET = 50;

/** So many sandboxes, shared out among the workspaces; each workspace has one at least. */
export function fleetOf(count: number, dice: Dice): readonly DemoSandbox[] {
  return WORKSPACES.flatMap((workspace) => {
    const own = Math.max(1, Math.round(workspace.sandboxes * count / FULL_FLEET));
    return Array.from({ length: own }, (_, n) => sandboxOf(workspace, n + 1, dice));
  });
}

function sandboxOf({ id, utcOffset, models, clients, inferenceGeo }: DemoWorkspace, number: number, dice: Dice): DemoSandbox {
  return {
    ...{ workspaceId: id, sandboxId: `${id}-${String(number).padStart(2, "0")}`, utcOffset },
    client: dice.oneOf(clients),
    model: dice.oneOf(models),
    sessionsPerDay: 0.4 + 1.6 * dice.next() ** 2,
    inferenceGeo: inferenceGeo ?? null,
    credentialId: CREDENTIALS[dice.whole(0, 1)]!,
  };
}
