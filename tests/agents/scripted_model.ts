/**
 * A model at Anthropic's own API that runs one shell command through the agent's own tool, and then
 * says that it is done.
 */
import { eventStream, json, type Script, type SeenCall } from "../fake_answers.ts";
import { claudeEvents, claudeMessage } from "../fake_claude.ts";
import { sse } from "../fake_messages.ts";
import { toolThenAnswer } from "../scripted_turns.ts";

/** The agent's shell tool, and what it wants besides the command. */
export interface ShellTool {
  readonly name: string;
  readonly input?: Readonly<Record<string, unknown>>;
}

export function scriptedModel({ name, input }: ShellTool): (call: SeenCall) => Script {
  const turnOf = toolThenAnswer(name, (command) => ({ command, ...input }));
  return (call) => {
    if (call.method !== "POST" || !/^\/v1\/messages(\?|$)/.test(call.target)) return "default";
    const asked = call.json() as { readonly model: string; readonly stream?: boolean };
    const claude = { turn: turnOf(call), call, model: asked.model, idPrefix: "" };
    if (asked.stream !== true) return json(claudeMessage(claude));
    return eventStream(claudeEvents(claude).map((event) => sse(event.type, event)));
  };
}
