import type { UsageReading } from "./reading.ts";

/** Where the accounting of a message batch stands at the upstream. */
export interface BatchStatus {
  readonly hasEnded: boolean;
  /** Its results can be fetched. */
  readonly hasResults: boolean;
  /** How many lines they have; null where it does not say. */
  readonly lines: number | null;
}

/** One line of a batch's results. */
export interface BatchLine {
  readonly customId: string;
  readonly hasSucceeded: boolean;
  /** Of one that has not succeeded, `errorType` says why. */
  readonly reading: UsageReading;
}

/** One event of a streamed answer: its `event:` name (may be empty) and its `data:` text. */
export interface Part {
  readonly event: string;
  readonly data: string;
}

/** The operator's credential, as it is put on a request to the upstream. */
export interface Credential {
  readonly header: string;
  readonly value: string;
  /** The part of `value` that nobody else may see. */
  readonly secret: string;
  /** Names the credential in rows and logs without being it. */
  readonly id: string;
}

/**
 * One upstream dialect: pure folds. No clock, no network, no throw.
 * What it does not know leaves the reading as it was. Counts are replaced, never added.
 */
export interface Provider {
  /** As it stands in `usage.provider`. */
  readonly name: string;
  /** Reads a whole JSON answer, of any status. What is not JSON leaves the reading not whole. */
  readonly parseNonStreamingResponse: (body: string) => UsageReading;
  /** The top-level keys of a JSON answer that `parseNonStreamingResponse` reads; the others need not be handed to it. */
  readonly answerKeys: readonly string[];
  /**
   * Whether `parseNonStreamingResponse` has to see the answer's `content` too, by the values of its
   * other keys. It is not handed over otherwise, because it may be long.
   */
  readonly needsContent: (kept: Readonly<Record<string, unknown>>) => boolean;
  /** The ids of files that the upstream's own tools have made, in content blocks of an answer. */
  readonly filesMadeIn: (content: unknown) => readonly string[];
  readonly batches: {
    /** Path of that batch; its results are below it at `/results`. */
    readonly pathOf: (id: string) => string;
    /** Null where the text says nothing of a batch. */
    readonly parseStatus: (body: string) => BatchStatus | null;
    /** Null where the line is none. */
    readonly parseLine: (line: string) => BatchLine | null;
  };
  /** Folds one event into the reading. */
  readonly parseStreamEvent: (reading: UsageReading, part: Part) => UsageReading;
  /** The reading with its output estimated from the text that passed, where the upstream did not name it. */
  readonly estimate: (reading: UsageReading) => UsageReading;
  /** Request headers in which clients and the operator put credentials; removed before the operator's goes in. */
  readonly credentialHeaders: readonly string[];
  /** What the upstream's own credentials look like, wherever they stand in a text (`g`): none is a proxy token. */
  readonly credentialShape: RegExp;
  /** Headers that are added only where the client sent none, as [name, value]. */
  readonly defaultHeaders: readonly (readonly [string, string])[];
  /** The answer header that carries the upstream's own request id. */
  readonly requestIdHeader: string;
}
