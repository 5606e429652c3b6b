/** What a provider says on the wire is named by providers alone, in `src/providers`. */
import assert from "node:assert/strict";
import { listFiles, read } from "./tree.ts";

const DIALECTS = "src/providers/";

/** Headers, events, keys, error types, paths and credentials of Anthropic's, then of OpenAI's. */
const WORDS = [
  /x-api-key|anthropic-\w|x-claude-code|x-should-retry/,
  /message_(?:start|delta|stop)|content_block/,
  /user_id|file_id|tool_result|cache_control|cache_creation(?!_)|ephemeral_|stop_details|advisor_message|fallback_message/,
  /processing_status|request_counts|results_url|msgbatch_/,
  /(?:authentication|permission|not_found|overloaded|invalid_request|rate_limit|api|timeout)_error|request_too_large/,
  /\/v1\b|count_tokens|api\.anthropic\.com/,
  /sk-ant-/,
  /x-ratelimit-|openai-(?:organization|project|beta)/,
  /chat\.completion|chatcmpl|\[DONE\]|response\.(?:created|completed|incomplete|failed|output_)/,
  /(?:previous|comparison)_response_id|vector_store_ids|container_id|include_usage|prompt_cache_(?:key|options|breakpoint)/,
  /(?:prompt|completion|reasoning|ttl_\d+[mh])_tokens(?!_per)/,
  /insufficient_quota|invalid_api_key|rate_limit_exceeded|server_error/,
  /\b(?:resp|conv|vs|cntr|pmpt)_|T3BlbkFJ/,
];

/**
 * Its usage keys are the names of our columns too, so only files without columns are searched.
 */
const COLUMN_WORDS = /(?:in|out)put_tokens|stop_reason|service_tier|server_tool_use|inference_geo|max_tokens|custom_id/;
const ROOMS_WITHOUT_COLUMNS =
  /^src\/(?:async|batches|call|config|domain(?!\/(?:usage_columns|totals)\.ts)|identity|pricing|wire)\//;

/** Code elsewhere that may name some of them, and why. */
const EXCEPTIONS: readonly { readonly path: RegExp; readonly words: RegExp; readonly why: string }[] = [
  {
    path: /^src\/config\//,
    words: /^(?:x-api-key|anthropic-\w|\/v1|api\.anthropic\.com)$/,
    why: "settings are named ANTHROPIC_*; their checks name what must not stand in them",
  },
  {
    path: /^src\/http\/(?!proxy\.ts)/,
    words: /_error$|^request_too_large$/,
    why: "the admin API has error types of its own",
  },
  {
    path: /^src\/call\/(?:authenticate|token_filter)\.ts$/,
    words: /^x-api-key$/,
    why: "a sandbox may send its proxy token there: the proxy's own contract",
  },
  {
    path: /^src\/wire\/stopped_headers\.ts$/,
    words: /^openai-(?:organization|project)$/,
    why: "the documented table has every header that stops, each provider's too",
  },
  { path: /^src\/upstream\/google\.ts$/, words: /^\/v1$/, why: "a path of the metadata server of Google's machines" },
  { path: /^src\/telemetry\/redact\.ts$/, words: /^sk-ant-$/, why: "no log shows such a key, whichever provider is used" },
  { path: /^src\/telemetry\/metrics\.ts$/, words: /^cache_creation$/, why: "a label of our own metric" },
  {
    path: /^src\/telemetry\/otel\/attributes\.ts$/,
    words: /^cache_creation$/,
    why: "an attribute of OpenTelemetry's conventions",
  },
];

Deno.test("no code outside the providers names a header, event, key, error type or path of theirs", () => {
  const found = sources("src/").filter((path) => !path.startsWith(DIALECTS)).flatMap((path) => [
    ...wordsIn(path, WORDS),
    ...(ROOMS_WITHOUT_COLUMNS.test(path) ? wordsIn(path, [COLUMN_WORDS]) : []),
  ]);
  const unused = EXCEPTIONS.filter(({ path, words }) => !found.some((word) => path.test(word.path) && words.test(word.text)));
  assert.deepEqual(unused.map(({ why }) => why), [], "an exception that nothing needs");
  const wrong = found.filter((word) => !EXCEPTIONS.some(({ path, words }) => path.test(word.path) && words.test(word.text)));
  assert.deepEqual(wrong.map(({ path, line, text }) => `${path}:${line}: ${text}`), []);
});

Deno.test("the words are those of the providers: each is named there", () => {
  const text = sources(DIALECTS).map(read).join("\n");
  for (const word of [...WORDS, COLUMN_WORDS]) assert.match(text, word);
});

function wordsIn(
  path: string,
  words: readonly RegExp[],
): { readonly path: string; readonly line: number; readonly text: string }[] {
  return withoutComments(read(path)).split("\n").flatMap((text, index) =>
    words.flatMap((word) => [...text.matchAll(new RegExp(word, "g"))].map((match) => ({ path, line: index + 1, text: match[0] })))
  );
}

/** Comments may cite what a client sends. Lines keep their numbers. */
function withoutComments(code: string): string {
  return code.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, "")).replace(/(^|\s)\/\/.*$/gm, "$1");
}

function sources(folder: string): string[] {
  return listFiles(folder).filter((path) => /(?<!_test)\.tsx?$/.test(path));
}
