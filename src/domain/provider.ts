import type { Frame, FrameDeltas } from "./frame.ts";
import type { Fault } from "./fault.ts";
import type { Fields } from "./header_fields.ts";
import type { OwnedKind } from "./owned.ts";
import type { Billing } from "./price.ts";
import type { UsageReading } from "./reading.ts";

/** One event of a streamed answer: its `event:` name (may be empty) and its `data:` text. */
export interface Part {
  readonly event: string;
  readonly data: string;
}

/**
 * One upstream dialect: tables and pure functions. No clock, no network, no throw.
 * A new one is one folder in `src/providers` and one line in `providers.ts`.
 */
export interface Provider {
  /** As upstreams name their dialect. */
  readonly name: string;
  /** Who sells the calls of an upstream that does not say, by OpenTelemetry's name for it. */
  readonly seller: string;
  /** How that seller bills. */
  readonly billing: Billing;
  /** What the settings of an upstream may leave out, and what they may say. */
  readonly settings: UpstreamDefaults;
  /** In front of any path it chooses this dialect, and goes no further. It begins with a slash. */
  readonly prefix: string;
  /**
   * A request for a path of several dialects is this one's if it has that header, otherwise another
   * one's. Left out: it needs no mark.
   */
  readonly markHeader?: string;
  /** In the order of matching. */
  readonly routes: readonly Route[];
  /** Says what is wrong with a client's base URL, if the path shows it; otherwise null. */
  readonly baseUrlFault: (path: string) => Fault | null;
  /** Bodies and paths name these things by id. They belong to the workspace that made them. */
  readonly owned: OwnedNames;
  /** Where a call goes whose path names a place; left out if paths name none. */
  readonly placed?: (target: string, place: Place) => Placed | Fault;
  /** The base URL of a path, by that of the settings; left out if one host serves all paths. */
  readonly baseUrlFor?: (baseUrl: string, target: string) => string;
  /** Left out if every answer tells what it used. */
  readonly pending?: PendingDialect;
  /** Left out if the upstream has no batches, or nothing counts what they use. */
  readonly batches?: BatchDialect;
  /** Our own refusal as the provider's clients expect an error. The fault's cause stays here. */
  /** The error type that the upstream gives with a status. */
  readonly errorTypeOf: (status: number) => string;
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

export interface UpstreamDefaults {
  /** `{region}` and `{location}` stand for the upstream's. */
  readonly baseUrl: string;
  /** The ways in which its credentials can pay. */
  readonly pays: readonly ("key" | "aws" | "google")[];
  /** Where a key stands, and what is in front of it. */
  readonly keyHeader: { readonly header: string; readonly prefix: string };
  /** The variable in which operators know the key; a copy may begin with it. */
  readonly keyVariable: string;
  /** Paths that the proxy adds to the base URL itself. */
  readonly addedPath: RegExp;
  /** Paths name a project and a location, which the upstream has to name. */
  readonly hasPlace?: true;
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
    /** Segments of the path may hold `%2F`: the names of AWS have slashes. */
    readonly hasEncodedSlashes?: true;
  }
  & (Owning | {
    readonly kind: "billed";
    readonly call: CallDialect;
  } | {
    /** Refused in words that help, such as the offer of another protocol. */
    readonly kind: "refused";
    readonly fault: (headers: Fields) => Fault;
  } | {
    readonly kind: "passthrough";
    readonly passthrough: PassthroughRoute;
    /** Calls pass only if `LLMPROXY_ALLOW_PATHS` names their path. */
    readonly isClosed?: true;
  });

/**
 * A call with the route's method makes a file or a batch. That has an id below the path, and is
 * open to its owner alone. Other methods are refused at the path itself, because lists show all.
 */
export interface Owning {
  readonly kind: "owning";
  readonly passthrough: PassthroughRoute;
  readonly owns: OwnedKind;
  /** Top-level keys of answers about it, and the kind of thing that the upstream made then. */
  readonly yields?: Readonly<Record<string, OwnedKind>>;
  /** Left out: calls of the method make one. `billed`: a billed route at that path does. */
  readonly madeBy?: "billed";
  /** As for a passthrough. */
  readonly isClosed?: true;
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
  /** The body may name what is owned, which then has to be the caller's. */
  readonly namesOwned: boolean;
  /** The body is a form, and names it too if that field has that value: its file holds requests. */
  readonly namesOwnedIf?: { readonly field: string; readonly value: string };
  /** A good answer is one JSON document, so that a cut shows in it. */
  readonly answersJson: boolean;
}

/** How one kind of billed call is asked for and answered. */
export interface CallDialect {
  readonly request: RequestDialect;
  readonly answer: AnswerDialect;
}

/** What the proxy has to find in a billed call. */
export interface RequestDialect {
  readonly maxBodyBytes: number;
  /** Top-level keys that `factsOf` is handed; a longer value than 16 KB is left out. */
  readonly keys: readonly string[];
  /** `target` is the path with its query, as the client spelled it, without the prefix. */
  readonly factsOf: (values: ReadonlyMap<string, unknown>, target: string) => BodyFacts;
  /** An object of its own in which a client says who it is. Gets the `keys`. */
  readonly metadataOf?: (values: ReadonlyMap<string, unknown>) => Readonly<Record<string, unknown>> | null;
  /** The id of what the call goes on with, such as an earlier response. Gets the `keys`. */
  readonly continues?: (values: ReadonlyMap<string, unknown>) => string | null;
  /** The top-level key of the conversation; its bytes are hashed to find retries. */
  readonly messagesKey: string;
  /** Keys of `keys` without which the same messages are another question. */
  readonly alsoAsked?: readonly string[];
  /** A key of messages that clients move as the conversation grows. */
  readonly cacheMarkKey: string;
  /** The upstream's cache is written without such a mark too. */
  readonly cachesUnasked?: true;
  /** The place that a base URL stands for, if it decides the price, as `BodyFacts` has it. */
  readonly geoOf?: (baseUrl: string) => string | null;
  /** Left out: bodies may refer to items, if the dialect has any. */
  readonly refersToNoItems?: true;
  /** Why the call is refused: its answer could not be read. Null: it can. */
  readonly unreadable?: (asked: BodyFacts) => Fault | null;
  /** Why the operator's strict metering refuses the call; null: it does not. Gets the `keys`. */
  readonly unmetered?: (values: ReadonlyMap<string, unknown>) => Fault | null;
}

/** How bodies name what belongs to a workspace. */
export interface OwnedNames {
  /** Strings below these keys, at any depth, may be ids. */
  readonly keys: readonly string[];
  /** The ids of the upstream begin so. Another id that has no owner passes. */
  readonly prefixes: readonly string[];
  /** Left out: nothing that is owned has items with ids of their own. */
  readonly items?: OwnedItems;
}

/** How bodies refer to an `item`, and how answers name those that were made. */
export interface OwnedItems {
  /**
   * A string at such a key may be the id of an item. Clients make up ids too, so one without an
   * owner passes.
   */
  readonly keys: readonly string[];
  /** A body with this string does refer to an item. */
  readonly mark: string;
}

/** What an upstream says of the places that paths name. */
export interface Place {
  /** Pays for the calls; null: paths name no project. */
  readonly project: string | null;
  /** Those that calls may name. */
  readonly locations: readonly string[];
}

export interface Placed {
  /** As it goes upstream. */
  readonly target: string;
  /** Stands in the base URL for `{location}`. */
  readonly location: string;
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

/** A provider without ids that bodies name. */
export const NOTHING_OWNED: OwnedNames = { keys: [], prefixes: [] };

/**
 * Pure folds from an answer to what it used. What they do not know leaves the reading as it was.
 * Counts are replaced, never added.
 */
export interface AnswerDialect {
  /** The top-level keys of a JSON answer that `readAnswer` wants. */
  readonly answerKeys: readonly string[];
  /** Reads a whole JSON answer of any status, by its top-level values. */
  readonly readAnswer: (values: Readonly<Record<string, unknown>>) => UsageReading;
  /** What the answer itself leaves out, by the request and the answer's head. It counts less. */
  readonly unsaid?: (asked: BodyFacts, headers: Headers) => Partial<UsageReading>;
  /** A message of a binary event stream as an event; null: it tells nothing. Left out: no such. */
  readonly partOf?: (frame: Frame) => Part | null;
  /** A shortcut for most messages of such a stream. */
  readonly frameDeltas?: () => FrameDeltas;
  /** A JSON array is a stream too: each element is the data of an event without a name. */
  readonly readsArrays?: true;
  /** No event ends a stream: it is whole at the end of its bytes, if the reading is. */
  readonly endsWithBytes?: true;
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
  /** Estimates what the upstream did not name: the output, from the text that passed. */
  readonly estimate: (reading: UsageReading, asked: { readonly requestBytes: number }) => UsageReading;
}

/** How a response is asked for that was still being made when its call ended. */
export interface PendingDialect {
  readonly pathOf: (id: string) => string;
  readonly answer: AnswerDialect;
  /** As a request's. */
  readonly geoOf?: RequestDialect["geoOf"];
}

/** How message batches are asked about. */
export interface BatchDialect {
  /** Path of that batch. */
  readonly pathOf: (id: string) => string;
  /** Path of its results, one line for each request of the batch. */
  readonly resultsPathOf: (id: string) => string;
  /** Of the lines' answers. */
  readonly answer: AnswerDialect;
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
