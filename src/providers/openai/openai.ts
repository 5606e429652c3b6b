import type { Provider } from "../../domain/provider.ts";
import { OPENAI_API } from "./billing.ts";
import { geoOf } from "./request.ts";
import { roomOf, waitMsOf } from "./rate_limits.ts";
import { errorEvent, errorTypeOf, refuse } from "./refusal.ts";
import { responses } from "./responses.ts";
import { baseUrlFault, ROUTES } from "./routes.ts";

/** Responses and Chat Completions (https://platform.openai.com/docs/api-reference). */
export const openai = {
  name: "openai",
  seller: "openai",
  billing: OPENAI_API,
  settings: {
    baseUrl: "https://api.openai.com",
    pays: ["key", "aws"],
    keyHeader: { header: "authorization", prefix: "Bearer " },
    keyVariable: "OPENAI_API_KEY",
    addedPath: /\/v1(\/(responses|chat|models|files)(\/.*)?)?$/i,
  },
  prefix: "/openai",
  routes: ROUTES,
  baseUrlFault,
  owned: {
    keys: [
      ...["previous_response_id", "comparison_response_id", "conversation", "prompt"],
      ...["file_id", "file_ids", "input_file_id", "vector_store_ids", "container", "container_id"],
      // Of endpoints that the operator may open.
      ...["training_file", "validation_file", "vector_store_id", "conversation_id", "response_id", "batch_id"],
    ],
    prefixes: ["resp_", "conv_", "file-", "vs_", "cntr_", "batch_", "pmpt_"],
    // The type of such an item may be left out, and one of another type is looked up by its id too.
    items: { keys: ["id", "item_id"], mark: "item_reference" },
  },
  // https://platform.openai.com/docs/guides/background
  pending: { pathOf: (id) => `/v1/responses/${id}`, answer: responses.answer, geoOf },
  refuse,
  errorEvent,
  errorTypeOf,
  // The last two choose which organisation and project pay.
  credentialHeaders: ["authorization", "openai-organization", "openai-project"],
  // Of today's keys and of the old ones. Others' tokens begin with `sk-` too, so this is narrow.
  credentialShape: /sk-(?:(?:proj|svcacct|admin)-[\w-]{20,}|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})/g,
  defaultHeaders: [],
  requestIdHeader: "x-request-id",
  waitMsOf,
  roomOf,
  // https://platform.openai.com/docs/api-reference/models/list
  checkPath: "/v1/models",
} satisfies Provider;
