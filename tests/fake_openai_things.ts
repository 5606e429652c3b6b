/**
 * What OpenAI keeps behind one key: responses, conversations, their items, files, vector stores,
 * containers and batches. It knows one key and serves everything to everyone who has it.
 */
import { createHash } from "node:crypto";
import { type Answer, json, type SeenCall } from "./fake_answers.ts";
import { sse } from "./fake_messages.ts";

type Json = Readonly<Record<string, unknown>>;

export interface FakeOpenaiThings {
  /** By id. */
  readonly things: ReadonlyMap<string, Json>;
  /** To be given to `FakeUpstream.answer`. */
  readonly answer: (call: SeenCall) => Answer;
}

const PREFIXES = {
  responses: "resp_",
  conversations: "conv_",
  files: "file-",
  vector_stores: "vs_",
  containers: "cntr_",
  batches: "batch_",
} as const;

/** Endpoints where others have ids. */
const VERBS: readonly string[] = ["compact", "input_tokens"];

type Collection = keyof typeof PREFIXES;

export function fakeOpenaiThings(): FakeOpenaiThings {
  const things = new Map<string, Json>();
  let made = 0;
  /** As long as the API's, and as hard to guess. */
  const newId = (prefix: string) => prefix + createHash("sha256").update(`${prefix}${++made}`).digest("hex").slice(0, 48);
  const keep = <T extends Json>(thing: T & { readonly id: string }): T => {
    things.set(thing.id, thing);
    return thing;
  };

  function itemsOf(count: number) {
    const message = () => ({
      ...{ id: newId("msg_"), type: "message", role: "assistant", status: "completed" },
      content: [{ type: "output_text", text: "kept words", annotations: [] }],
    });
    const reasoning = { id: newId("rs_"), type: "reasoning", summary: [] };
    return [reasoning, ...Array.from({ length: count }, message)].map((item) => keep(item));
  }

  function respond(call: SeenCall): Answer {
    const asked = call.json() as Json;
    const output = asked.store === false ? [] : itemsOf(1);
    const id = newId(PREFIXES.responses);
    const whole = {
      ...{ id, object: "response", model: asked.model, status: "completed", store: asked.store ?? true },
      ...{ background: asked.background ?? false, service_tier: "default", output, error: null },
      usage: { input_tokens: 7, output_tokens: 3, total_tokens: 10 },
    };
    if (whole.store) keep(whole);
    const running = { ...whole, status: "in_progress", output: [], usage: null };
    // Its items are not named before it is asked for.
    if (whole.background && asked.stream !== true) return json({ ...running, status: "queued" });
    if (asked.stream !== true) return json(whole);
    const events: readonly Json[] = [
      { type: "response.created", response: running },
      ...output.map((item, output_index) => ({ type: "response.output_item.done", output_index, item })),
      { type: "response.completed", response: whole },
    ];
    return {
      headers: { "content-type": "text/event-stream" },
      body: events.map((event) => sse(String(event.type), event)).join(""),
    };
  }

  function make(collection: Collection, call: SeenCall): Answer {
    if (collection === "responses") return respond(call);
    const id = newId(PREFIXES[collection]);
    const { metadata = {} } = call.json() as Json ?? {};
    if (collection !== "batches") return json(keep({ id, object: collection, metadata }));
    const output_file_id = newId(PREFIXES.files);
    keep({ id: output_file_id, object: "file" });
    keep({ id, object: "batch", status: "completed", output_file_id, error_file_id: null });
    return json({ id, object: "batch", status: "validating", output_file_id: null, error_file_id: null });
  }

  function below(thing: Json, rest: readonly string[], call: SeenCall): Answer {
    const [what, inner] = rest;
    if (what === undefined && call.method === "DELETE") {
      things.delete(String(thing.id));
      return json({ id: thing.id, deleted: true });
    }
    if (what === "content" || inner !== undefined && rest[2] === "content") return { body: `content of ${thing.id}` };
    if (what === "items" && call.method === "POST") return json({ object: "list", data: itemsOf(1) });
    if (what === "items" || what === "input_items") return json({ object: "list", data: itemsOf(2) });
    if (what === "files" && call.method === "POST" && thing.object === "containers") {
      return json(keep({ id: newId("cfile_"), object: "container.file" }));
    }
    return json(thing);
  }

  return {
    things,
    answer: (call) => {
      const [, version, collection, id, ...rest] = call.target.split("?")[0]!.split("/");
      const isKnown = version === "v1" && collection !== undefined && Object.hasOwn(PREFIXES, collection);
      if (isKnown && id === undefined && call.method === "POST") return make(collection as Collection, call);
      if (isKnown && id === undefined) return json({ object: "list", data: [...things.values()] });
      const thing = things.get(id ?? "");
      if (isKnown && thing !== undefined) return below(thing, rest, call);
      return { ...json({ input_tokens: 7, object: "list", choices: [] }), status: isKnown && !VERBS.includes(id!) ? 404 : 200 };
    },
  };
}
