import type { Client } from "./client.ts";
import type { Fault } from "./fault.ts";
import type { OwnedKind } from "./owned.ts";
import type { UsageReading } from "./reading.ts";

/** One event of a streamed answer: its `event:` name (may be empty) and its `data:` text. */
export interface Part {
  readonly event: string;
  readonly data: string;
}

/** The operator's credential, as it is put on a request to the upstream. */
export interface Credential {
  readonly header: string;
  readonly value: string;
  /** The part of `value` that is secret. */
  readonly secret: string;
  /** Names the credential in rows, logs and metrics without being it. */
  readonly id: string;
  /** Its share of the sessions, by the sum of all weights. */
  readonly weight: number;
  /** Where its calls go: without a trailing slash; may have a path. */
  readonly baseUrl: string;
}

/**
 * One upstream dialect: tables and pure functions. No clock, no network, no throw.
 * A new one is one folder in `src/providers` and one line in `providers.ts`.
 */
export interface Provider extends AnswerDialect {
  /** As upstreams name their dialect. */
  readonly name: string;
  /** Who sells the calls of an upstream that names no seller: a key of `billings.ts`. */
  readonly seller: string;
  /** In the order of matching. */
  readonly routes: readonly Route[];
  /** Says what is wrong with a client's base URL, if the path shows it; otherwise null. */
  readonly baseUrlFault: (path: string) => Fault | null;
  readonly request: RequestDialect;
  /** The agents that are told apart; the first that fits is the client's. */
  readonly clients: readonly Client[];
  /** Left out if the upstream has no batches: then no route owns a `batch`. */
  readonly batches?: BatchDialect;
  /** Our own refusal as the provider's clients expect an error. The fault's cause stays here. */
  readonly refuse: (fault: Fault, to: RefusedClient) => {
    /** The fault's, or the one that stops this client. */
    readonly status: number;
    readonly body: string;
    readonly headers: Readonly<Record<string, string>>;
  };
  /** The same as an event of a stream, which a client takes for the upstream's own error. */
  readonly errorEvent: (fault: Fault, requestId: string) => string;
  /** Request headers that carry credentials; removed before the operator's goes in. */
  readonly credentialHeaders: readonly string[];
  /** The shape (`g`) of the upstream's own credentials in any text: no proxy token has it. */
  readonly credentialShape: RegExp;
  /** Headers that are added if the client sent none, as [name, value]. */
  readonly defaultHeaders: readonly (readonly [string, string])[];
  /** The answer header that carries the upstream's own request id. */
  readonly requestIdHeader: string;
  /** How long an answer's head asks to wait before another call of its model, ms; may be 0. */
  readonly waitMsOf: (head: Pick<Response, "status" | "headers">, now: number) => number;
  /** How much of each of the upstream's limits is left, as a share from 0 to 1 by kind of limit. */
  readonly roomOf: (headers: Headers) => Readonly<Record<string, number>>;
  /** A GET of this path costs nothing, and only a good credential gets a 2xx. */
  readonly checkPath: string;
}

export interface RefusedClient {
  readonly requestId: string;
  /** The name of its row; null: unknown. */
  readonly client: string | null;
}

/** A path of the proxy's port, and what happens there. */
export type Route =
  & {
    /** `*` for all. */
    readonly method: string;
    /** `:id` stands for one segment, a final `*` for any. */
    readonly path: string;
  }
  & (Owning | { readonly kind: "billed" } | {
    readonly kind: "passthrough";
    readonly passthrough: PassthroughRoute;
    /** Calls pass only if `LLMPROXY_ALLOW_PATHS` names their path. */
    readonly isClosed?: true;
  });

/**
 * A call with the route's method makes a file or a batch. That has an id below the path, and is
 * open to its owner alone. Other methods are refused at the path itself, because lists show all.
 */
interface Owning {
  readonly kind: "owning";
  readonly passthrough: PassthroughRoute;
  readonly owns: OwnedKind;
  /** Paths below an id end so if their answer is not one JSON document. */
  readonly notJson: string;
}

/** How calls of a route pass. */
export interface PassthroughRoute {
  /** The route's name in metrics. */
  readonly name: string;
  readonly maxBodyBytes: number;
  /** The call belongs to its session, though it has no row. */
  readonly joinsTrace: boolean;
  /** The body may name files, which then have to be the caller's. */
  readonly namesFiles: boolean;
  /** A good answer is one JSON document, so that a cut shows in it. */
  readonly answersJson: boolean;
}

/** What the proxy has to find in the body of a billed call. */
export interface RequestDialect {
  readonly maxBodyBytes: number;
  /** Top-level keys that `factsOf` is handed; a longer value than 16 KB is left out. */
  readonly keys: readonly string[];
  readonly factsOf: (values: ReadonlyMap<string, unknown>) => BodyFacts;
  /** The top-level key of the conversation; its bytes are hashed to find retries. */
  readonly messagesKey: string;
  /** A key of messages that clients move as the conversation grows. */
  readonly cacheMarkKey: string;
  /** The key under which a body names a file, at any depth. */
  readonly fileKey: string;
  /** The ids of all files of the upstream begin so. */
  readonly filePrefix: string;
}

/** What a request's body says of itself. */
export interface BodyFacts {
  /** Empty if it names none. */
  readonly model: string;
  readonly isStreamed: boolean;
  readonly maxTokens: number | null;
  /** What it says of its user; some clients name their session there. */
  readonly userId: string | null;
  /** What multiplies its price. */
  readonly speed: string | null;
  readonly inferenceGeo: string | null;
}

/**
 * Pure folds from an answer to what it used. What they do not know leaves the reading as it was.
 * Counts are replaced, never added.
 */
export interface AnswerDialect {
  /** The top-level keys of a JSON answer that `readAnswer` wants. */
  readonly answerKeys: readonly string[];
  /** Reads a whole JSON answer of any status, by its top-level values. */
  readonly readAnswer: (values: Readonly<Record<string, unknown>>) => UsageReading;
  /** The same of its text. What is not JSON leaves the reading not whole. */
  readonly parseNonStreamingResponse: (body: string) => UsageReading;
  /** Folds one event of a stream into the reading. */
  readonly parseStreamEvent: (reading: UsageReading, part: Part) => UsageReading;
  /**
   * A shortcut for most of a stream. From `from` on, the start of an event in an SSE text, it folds
   * the whole events that only add content by their spelling. `to` is the place behind the last of
   * them. `parseStreamEvent` would make the same reading of them.
   */
  readonly parseDeltas: (
    reading: UsageReading,
    text: string,
    from: number,
  ) => { readonly reading: UsageReading; readonly to: number };
  /** Estimates the output from the text that passed, unless the upstream named it. */
  readonly estimate: (reading: UsageReading) => UsageReading;
  /** The error type that the upstream gives with a status. */
  readonly errorTypeOf: (status: number) => string;
}

/** How message batches are asked about. */
export interface BatchDialect {
  /** Path of that batch. */
  readonly pathOf: (id: string) => string;
  /** Path of its results, one line for each request of the batch. */
  readonly resultsPathOf: (id: string) => string;
  /** Null if the text says nothing of a batch. */
  readonly parseStatus: (body: string) => BatchStatus | null;
  /** Null if the line is not a result. */
  readonly parseLine: (line: string) => BatchLine | null;
}

/** How far the upstream is with a batch. */
export interface BatchStatus {
  readonly hasEnded: boolean;
  /** Its results can be fetched. */
  readonly hasResults: boolean;
  /** How many lines they have; null if it does not say. */
  readonly lines: number | null;
}

/** One line of a batch's results. */
export interface BatchLine {
  readonly customId: string;
  readonly hasSucceeded: boolean;
  /** If it has not succeeded, `errorType` says why. */
  readonly reading: UsageReading;
}
