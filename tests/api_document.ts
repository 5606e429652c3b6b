/** An OpenAPI document as the judge of inputs and answers. */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

export type Schema = Readonly<Record<string, unknown>>;

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required?: boolean;
  readonly schema: Schema;
}

interface Answer {
  /** Without it, the answer has no body. */
  readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>;
}

export interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: {
    readonly required?: boolean;
    readonly content: { readonly "application/json": { readonly schema: Schema } };
  };
  readonly responses: Readonly<Record<string, Answer>>;
  readonly security?: readonly unknown[];
}

export interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface Seen {
  readonly status: number;
  readonly contentType: string | null;
  readonly text: string;
}

export class ApiDocument {
  readonly document: Document;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: false, validateFormats: true });
  readonly #compiled = new Map<Schema, ValidateFunction>();

  /** Throws if a schema cannot be compiled. */
  constructor(document: Document) {
    this.document = document;
    addFormats.default(this.#ajv);
    this.#ajv.addSchema({ $id: "api", components: document.components });
    for (const id of Object.keys(document.components.schemas)) this.#compile({ $ref: `#/components/schemas/${id}` });
  }

  /** Whether the value is what the schema says. */
  takes(schema: Schema, value: unknown): boolean {
    return this.#compile(schema)(value) === true;
  }

  /** Why the document does not have this answer; null if it does. A HEAD has no body. */
  problemOf({ responses }: Pick<Operation, "responses">, { status, contentType, text }: Seen, isHead = false): string | null {
    const answer = responses[status];
    if (answer === undefined) return `the status ${status} is not documented: ${text}`;
    if (answer.content === undefined) return contentType === null && text === "" ? null : `a ${status} has a body: ${text}`;
    const media = answer.content[contentType ?? ""];
    if (media === undefined) return `the content type ${contentType} of a ${status} is not documented`;
    if (isHead) return text === "" ? null : "a HEAD has a body";
    if (contentType !== "application/json") return null;
    const check = this.#compile(media.schema!);
    return check(JSON.parse(text)) ? null : `${this.#ajv.errorsText(check.errors)} in a ${status}: ${text.slice(0, 500)}`;
  }

  /** References of an answer's schema are to the whole document. */
  #compile(schema: Schema): ValidateFunction {
    const known = this.#compiled.get(schema);
    if (known !== undefined) return known;
    const { $ref } = schema;
    const made = this.#ajv.compile(typeof $ref === "string" ? { $ref: `api${$ref}` } : schema);
    this.#compiled.set(schema, made);
    return made;
  }
}
