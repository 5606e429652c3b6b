/**
 * Drives one vendor's SDK as a program of its own, with the packages of this folder's deno.json.
 * Each line of its input is a `Task`; it answers each with a line of JSON.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import type { SdkName, SdkResult, Task } from "../client_sdks.ts";

type Told = (text: string) => void;
type Driver = (task: Task, told: Told) => Promise<string>;

/** Other names than literals, because only this folder's deno.json knows the packages. */
const PACKAGES: Readonly<Record<SdkName, string>> = {
  "openai-7-responses": "openai_7",
  "openai-7-chat": "openai_7",
  "openai-6-responses": "openai_6",
  "openai-6-chat": "openai_6",
  "genai": "@google/genai",
  "bedrock": "@anthropic-ai/bedrock-sdk",
  "vertex": "@anthropic-ai/vertex-sdk",
};

const TOOL = { name: "say", description: "Says a word", schema: { type: "object", properties: { word: { type: "string" } } } };
const QUESTION = "What is the answer?";

const DRIVERS: Readonly<Record<SdkName, Driver>> = {
  "openai-7-responses": responses,
  "openai-6-responses": responses,
  "openai-7-chat": chat,
  "openai-6-chat": chat,
  "genai": genai,
  "bedrock": claude,
  "vertex": claude,
};

async function openaiClient({ sdk, url, token }: Task) {
  const { default: OpenAI } = await import(PACKAGES[sdk]);
  return new OpenAI({ baseURL: url, apiKey: token, logLevel: "off" });
}

async function responses(task: Task, told: Told): Promise<string> {
  const client = await openaiClient(task);
  const tools = [{ type: "function", name: TOOL.name, description: TOOL.description, parameters: TOOL.schema, strict: false }];
  const asked = { model: task.model, instructions: "Be brief.", store: false, prompt_cache_key: "at-driver" };
  const input: unknown[] = [{ role: "user", content: QUESTION }];
  if (task.action === "answer") return (await client.responses.create({ ...asked, input })).output_text;
  if (task.action === "background") {
    const queued = await client.responses.create({ ...asked, input, store: true, background: true });
    return (await client.responses.retrieve(queued.id)).output_text;
  }
  if (task.action === "tool") {
    const first = await client.responses.create({ ...asked, input, tools });
    const [called] = first.output;
    const output = { type: "function_call_output", call_id: called.call_id, output: JSON.parse(called.arguments).word };
    return (await client.responses.create({ ...asked, tools, input: [...input, ...first.output, output] })).output_text;
  }
  const stream = await client.responses.create({ ...asked, input, stream: true });
  let text = "";
  for await (const event of stream) {
    // Version 6 hands the error on as an event, and then ends well.
    if (event.type === "error") throw new Error(event.message);
    if (event.type !== "response.output_text.delta") continue;
    told(text += event.delta);
    // The SDK aborts its request.
    if (task.action === "abort") break;
  }
  return text;
}

async function chat(task: Task, told: Told): Promise<string> {
  const client = await openaiClient(task);
  const tools = [{ type: "function", function: { name: TOOL.name, description: TOOL.description, parameters: TOOL.schema } }];
  const messages: unknown[] = [{ role: "user", content: QUESTION }];
  const asked = { model: task.model, max_completion_tokens: 512 };
  const create = client.chat.completions.create.bind(client.chat.completions);
  if (task.action === "answer") return (await create({ ...asked, messages })).choices[0].message.content;
  if (task.action === "tool") {
    const { message } = (await create({ ...asked, messages, tools })).choices[0];
    const [called] = message.tool_calls;
    const result = { role: "tool", tool_call_id: called.id, content: JSON.parse(called.function.arguments).word };
    return (await create({ ...asked, tools, messages: [...messages, message, result] })).choices[0].message.content;
  }
  const counted = task.action === "stream-uncounted" ? {} : { stream_options: { include_usage: true } };
  const stream = await create({ ...asked, messages, stream: true, ...counted });
  let text = "";
  for await (const chunk of stream) {
    const more = chunk.choices[0]?.delta.content ?? "";
    if (more !== "") told(text += more);
    if (task.action === "abort" && text !== "") break;
  }
  return text;
}

async function genai({ sdk, action, url, token, model }: Task, told: Told): Promise<string> {
  const { GoogleGenAI } = await import(PACKAGES[sdk]);
  const { models } = new GoogleGenAI({ apiKey: token, httpOptions: { baseUrl: url } });
  const contents: unknown[] = [{ role: "user", parts: [{ text: QUESTION }] }];
  const leaving = new AbortController();
  const tools = [{
    functionDeclarations: [{ name: TOOL.name, description: TOOL.description, parametersJsonSchema: TOOL.schema }],
  }];
  if (action === "answer") return (await models.generateContent({ model, contents })).text;
  if (action === "count") return String((await models.countTokens({ model, contents })).totalTokens);
  if (action === "tool") {
    const first = await models.generateContent({ model, contents, config: { tools } });
    const [called] = first.functionCalls;
    const response = { functionResponse: { name: called.name, id: called.id, response: { output: called.args.word } } };
    const more = [first.candidates[0].content, { role: "user", parts: [response] }];
    return (await models.generateContent({ model, contents: [...contents, ...more], config: { tools } })).text;
  }
  const stream = await models.generateContentStream({ model, contents, config: { abortSignal: leaving.signal } });
  let text = "";
  for await (const chunk of stream) {
    told(text += chunk.text ?? "");
    if (action === "abort") {
      leaving.abort();
      break;
    }
  }
  return text;
}

/** All answers. The SDK keeps only a body, and Deno forgets an abort then. */
const answers: Response[] = [];

async function held(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const answer = await fetch(input, init);
  answers.push(answer);
  return answer;
}

async function claudeClient({ sdk, url, token }: Task) {
  const options = { baseURL: url, logLevel: "off", fetch: held };
  if (sdk === "bedrock") {
    const { AnthropicBedrock } = await import(PACKAGES[sdk]);
    return new AnthropicBedrock({ ...options, apiKey: token, awsRegion: "us-east-1" });
  }
  const { AnthropicVertex } = await import(PACKAGES[sdk]);
  const { OAuth2Client } = await import(["google-auth", "library"].join("-"));
  const authClient = new OAuth2Client();
  authClient.setCredentials({ access_token: token, expiry_date: Date.now() + 3_600_000 });
  return new AnthropicVertex({ ...options, authClient, region: "global", projectId: "project-of-the-client" });
}

async function claude(task: Task, told: Told): Promise<string> {
  const client = await claudeClient(task);
  const tools = [{ name: TOOL.name, description: TOOL.description, input_schema: TOOL.schema }];
  const messages: unknown[] = [{ role: "user", content: QUESTION }];
  const asked = { model: task.model, max_tokens: 512 };
  if (task.action === "answer") return (await client.messages.create({ ...asked, messages })).content[0].text;
  if (task.action === "count") return String((await client.messages.countTokens({ model: task.model, messages })).input_tokens);
  if (task.action === "tool") {
    const first = await client.messages.create({ ...asked, messages, tools });
    const [called] = first.content;
    const result = { role: "user", content: [{ type: "tool_result", tool_use_id: called.id, content: called.input.word }] };
    const more = [...messages, { role: "assistant", content: first.content }, result];
    return (await client.messages.create({ ...asked, tools, messages: more })).content[0].text;
  }
  const stream = await client.messages.create({ ...asked, messages, stream: true });
  let text = "";
  for await (const event of stream) {
    if (event.type !== "content_block_delta") continue;
    told(text += event.delta.text);
    if (task.action === "abort") break;
  }
  return text;
}

async function done(task: Task): Promise<SdkResult> {
  let partial = "";
  const [begun, told] = [performance.now(), (text: string) => void (partial = text)];
  const { text, error } = await DRIVERS[task.sdk](task, told).then(
    (text) => ({ text, error: null }),
    (error) => ({
      text: partial,
      error: { name: error.constructor.name, status: error.status ?? null, message: String(error.message) },
    }),
  );
  return { text, error, ms: performance.now() - begun };
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await done(JSON.parse(line))));
}
