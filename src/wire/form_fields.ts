import { Buffer } from "node:buffer";

/** A field of a form that is no file: its value as it stands there, cut. */
export interface FormField {
  readonly name: string;
  readonly value: string;
}

/** What is open at the end of the bytes so far. */
// deno-fmt-ignore
enum At { start, head, value, behindBoundary, end }

/**
 * Reads the fields of a `multipart/form-data` body (RFC 7578) from chunks that are cut anywhere. It
 * keeps neither files nor long values.
 *
 * Servers disagree about forms that are not plain: other line ends, escapes in names, codings of
 * parts, text around the parts. It hides those, as a field could stand there that it does not see.
 */
export class FormFields {
  readonly #longestValue: number;
  /** Between parts; empty if the content type names none. */
  readonly #boundary: string;
  #at: At = At.start;
  /** What is not decided yet. Bytes are characters here. */
  #text = "";
  /** Null: the open part is a file. */
  #name: string | null = null;
  #value = "";
  #isHidden: boolean;
  readonly #found: FormField[] = [];
  #count = 0;

  /** Null if the body is no form. Values are cut at `maxValueBytes`. */
  static of(contentType: string, options: { readonly maxValueBytes: number }): FormFields | null {
    return /multipart/i.test(contentType) ? new FormFields(contentType, options) : null;
  }

  private constructor(contentType: string, options: { readonly maxValueBytes: number }) {
    this.#longestValue = options.maxValueBytes;
    const [, quoted, plain] = CONTENT_TYPE.exec(contentType) ?? [];
    const boundary = quoted ?? plain;
    this.#isHidden = boundary === undefined;
    this.#boundary = `--${boundary}`;
  }

  /** Neither keeps nor changes the chunk. */
  push(chunk: Uint8Array): void {
    if (this.#isHidden) return;
    this.#text += Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString("latin1");
    while (!this.#isHidden && this.#step()) { /* Each step takes something of the text. */ }
  }

  /** The fields since the last call. */
  take(): readonly FormField[] {
    return this.#found.splice(0);
  }

  /** There may be other fields; true too before the form has ended. */
  get isHidden(): boolean {
    return this.#isHidden || this.#at !== At.end || (this.#text !== "" && this.#text !== "\r\n");
  }

  /** False if more has to come. */
  #step(): boolean {
    switch (this.#at) {
      case At.start:
        return this.#skip(this.#boundary, At.behindBoundary);
      case At.behindBoundary:
        return this.#text.startsWith("-") ? this.#skip("--", At.end) : this.#skip(LINE_END, At.head);
      case At.head:
        return this.#readHead();
      case At.value:
        return this.#readValue();
      case At.end:
        if (this.#text.length > LINE_END.length) this.#isHidden = true;
        return false;
    }
  }

  #skip(expected: string, next: At): boolean {
    if (this.#text.length < expected.length) return false;
    if (!this.#text.startsWith(expected)) this.#isHidden = true;
    this.#text = this.#text.slice(expected.length);
    this.#at = next;
    return true;
  }

  #readHead(): boolean {
    const end = this.#text.indexOf(LINE_END + LINE_END);
    if ((end < 0 ? this.#text.length : end) > LONGEST_HEAD) this.#isHidden = true;
    if (end < 0) return false;
    const lines = this.#text.slice(0, end).split(LINE_END).filter((line) => !OTHER_HEADER.test(line));
    const [, name, filename] = DISPOSITION.exec(lines[0] ?? "") ?? [];
    if (name === undefined || lines.length !== 1) this.#isHidden = true;
    this.#name = filename === undefined ? name ?? null : null;
    this.#text = this.#text.slice(end + 2 * LINE_END.length);
    this.#at = At.value;
    return true;
  }

  #readValue(): boolean {
    const boundary = this.#text.indexOf(this.#boundary);
    // It, and the line end in front of it, may begin at the end.
    const length = boundary < 0 ? this.#text.length - this.#boundary.length - 1 : boundary - LINE_END.length;
    if (boundary >= 0 && (length < 0 || !this.#text.startsWith(LINE_END, length))) this.#isHidden = true;
    if (length > 0 && this.#name !== null) {
      this.#value += this.#text.slice(0, Math.min(length, this.#longestValue - this.#value.length));
    }
    if (boundary < 0) {
      this.#text = this.#text.slice(Math.max(length, 0));
      return false;
    }
    if (this.#name !== null) this.#keep({ name: this.#name, value: this.#value });
    this.#value = "";
    this.#text = this.#text.slice(boundary + this.#boundary.length);
    this.#at = At.behindBoundary;
    return true;
  }

  #keep({ name, value }: FormField): void {
    // The second says how the values are to be decoded (HTML, "the _charset_ field").
    if (++this.#count > MOST_FIELDS || name === "_charset_") this.#isHidden = true;
    else this.#found.push({ name, value: Buffer.from(value, "latin1").toString("utf8") });
  }
}

const LINE_END = "\r\n";
const LONGEST_HEAD = 4_096;
/** More than a form with files has. */
const MOST_FIELDS = 10_000;

/** Boundaries as clients make them (RFC 2046, 5.1.1), without spaces. */
const CONTENT_TYPE =
  /^\s*multipart\/form-data\s*;\s*boundary=(?:"([0-9A-Za-z'()+_,\-./:=?]{1,70})"|([0-9A-Za-z'+_\-.]{1,70}))\s*$/i;

/** A name without escapes, and perhaps a file's name. */
const DISPOSITION =
  /^content-disposition: form-data; name="([ !#$&-[\]-~\x80-\xff]*)"(; filename="[ !#-[\]-~\x80-\xff]*")?(?:; filename\*=[\w!#$&+\-.^`|~%']*)?$/i;

/** They say nothing of the field. */
const OTHER_HEADER =
  /^(?:content-type: ?(?!.*charset=(?!"?utf-8))[ -~\x80-\xff]*|content-length: ?\d+|content-transfer-encoding: ?(?:binary|8bit|7bit))$/i;
