/**
 * The smallest provider that meters: one route, one JSON answer, no stream, no batches, no prices
 * of its own.
 */
import { FAULTS } from "../../src/domain/fault.ts";
import { type CallDialect, NOTHING_OWNED, type Provider } from "../../src/domain/provider.ts";
import { EMPTY_READING, type UsageReading } from "../../src/domain/reading.ts";

const answers: CallDialect = {
  request: {
    maxBodyBytes: 1024 * 1024,
    keys: ["engine"],
    factsOf: (values) => ({
      model: String(values.get("engine") ?? ""),
      isStreamed: false,
      maxTokens: null,
      userId: null,
      speed: null,
      inferenceGeo: null,
    }),
    messagesKey: "prompt",
    cacheMarkKey: "mark",
  },
  answer: {
    answerKeys: ["engine", "units"],
    readAnswer,
    parseNonStreamingResponse: (body) => readAnswer(JSON.parse(body)),
    parseStreamEvent: (reading) => reading,
    parseDeltas: (reading, _text, from) => ({ reading, to: from }),
    estimate: (reading) => reading,
  },
};

export const dummy: Provider = {
  name: "dummy",
  seller: "dummy",
  billing: {
    seller: { name: "Dummy", service: "Answers" },
    billsInterrupted: false,
    callsOf: () => [],
    kinds: [],
    tokensOf: ({ inputTokens }) => ({ input: BigInt(inputTokens) }),
    namesOf: () => [],
    serviceTiers: new Map(),
    factors: { geoPercent: {} },
  },
  settings: {
    baseUrl: "https://dummy.invalid",
    pays: ["key"],
    keyHeader: { header: "authorization", prefix: "" },
    keyVariable: "DUMMY_KEY",
    addedPath: /$^/,
  },
  prefix: "/dummy",
  routes: [{ method: "POST", path: "/answers", kind: "billed", call: answers }],
  baseUrlFault: () => null,
  owned: NOTHING_OWNED,
  errorTypeOf: (status) => `error ${status}`,
  refuse: (fault, { requestId }) => ({
    status: FAULTS[fault.code].status,
    body: `${FAULTS[fault.code].status} ${fault.message} (${requestId})`,
    headers: { "content-type": "text/plain" },
  }),
  errorEvent: (fault) => `broken: ${fault.message}\n\n`,
  credentialHeaders: ["authorization"],
  credentialShape: /dk-[a-z]+/g,
  defaultHeaders: [],
  requestIdHeader: "dummy-id",
  waitMsOf: () => 0,
  roomOf: () => ({}),
  checkPath: "/dummy/check",
};

function readAnswer({ engine, units }: Readonly<Record<string, unknown>>): UsageReading {
  return {
    ...EMPTY_READING,
    servedModel: String(engine),
    inputTokens: Number(units),
    hasContent: true,
    hasInput: true,
    hasFinalOutput: true,
    isWhole: true,
  };
}
