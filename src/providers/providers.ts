/** The dialects that the proxy speaks, by name: a new one is one folder and one line here. */
export { anthropic } from "./anthropic/anthropic.ts";
export { bedrock } from "./bedrock/bedrock.ts";
export { gemini } from "./gemini/gemini.ts";
export { openai } from "./openai/openai.ts";
export { vertex } from "./vertex/vertex.ts";
