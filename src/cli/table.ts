import stringWidth from "string-width";

/** The terminal that stdout writes to. */
export interface Screen {
  /** Cells of one line. */
  readonly width: number;
  readonly height: number;
  readonly hasColors: boolean;
}

export interface TableOptions {
  /** Headings of the columns that are flush right. */
  readonly numbers?: readonly string[];
  /** Null, or left out: the table goes to a file or a pipe, so it has no colours. */
  readonly screen?: Screen | null;
  /** Cuts each line at the edge of the screen, so that none takes two. */
  readonly fits?: boolean;
}

const GAP = "  ";
/** Control and format characters, line and paragraph separators, and halves of a pair. */
const UNSHOWN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const SEGMENTER = new Intl.Segmenter();

/**
 * Rows as lines of text, each column as wide as its widest cell; the first row has the headings. No
 * cell can steer the terminal: `visible()` is done here.
 */
export function tableOf(rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  const { numbers = [], screen = null, fits = false } = options;
  const shown = rows.map((row) => row.map(visible));
  const [headings = []] = shown;
  const widths = headings.map((_, column) => Math.max(...shown.map((row) => stringWidth(row[column]!))));
  const lines = shown.map((row) =>
    row.map((cell, column) => padded(cell, widths[column]!, numbers.includes(headings[column]!))).join(GAP).trimEnd()
  );
  const cut = fits && screen !== null ? lines.map((line) => fitted(line, screen.width)) : lines;
  return cut.map((line, n) => `${n === 0 ? styled(line, "bold", screen) : line}\n`).join("");
}

/** Lines of a table that is not known yet: a column grows when a wider cell comes. */
export function growingTable(headings: readonly string[], numbers: readonly string[]): (cells: readonly string[]) => string {
  const widths = headings.map(() => 0);
  return (cells) => {
    const shown = cells.map(visible);
    shown.forEach((cell, column) => widths[column] = Math.max(widths[column]!, stringWidth(cell)));
    return shown.map((cell, column) => padded(cell, widths[column]!, numbers.includes(headings[column]!))).join(GAP).trimEnd();
  };
}

/** The cell with blanks up to that width. A wider cell stays as it is. */
export function padded(cell: string, width: number, isNumber = false): string {
  const blanks = " ".repeat(Math.max(0, width - stringWidth(cell)));
  return isNumber ? blanks + cell : cell + blanks;
}

/** A text from outside as a terminal may show it: what could steer it is spelled out, `\u{1b}`. */
export function visible(text: string): string {
  return text.replace(UNSHOWN, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** The text cut to that many cells, with an ellipsis if anything is missing. */
export function fitted(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let kept = "";
  let room = width - 1;
  for (const { segment } of SEGMENTER.segment(text)) {
    room -= stringWidth(segment);
    if (room < 0) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** Draws one frame over the last, on a screen of its own. Disposing restores what was there. */
export interface Canvas extends Disposable {
  /** `text` has lines that fit the screen; those beyond its height are cut. */
  readonly draw: (text: string, screen: Screen) => void;
}

/** The alternate screen, the cursor, and erasing to the end of line or screen (xterm ctlseqs). */
const CONTROL = {
  open: "\x1b[?1049h\x1b[?25l",
  close: "\x1b[?25h\x1b[?1049l",
  home: "\x1b[H",
  line: "\x1b[K",
  rest: "\x1b[J",
} as const;

export function openCanvas(write: (text: string) => void): Canvas {
  write(CONTROL.open);
  return {
    draw(text, { height }) {
      const lines = text.split("\n").slice(0, height);
      write(`${CONTROL.home}${lines.map((line) => `${line}${CONTROL.line}`).join("\n")}${CONTROL.rest}`);
    },
    [Symbol.dispose]: () => write(CONTROL.close),
  };
}

const STYLES = { bold: "1", red: "31" } as const;

/** The text in a style, if it goes to a terminal with colours. */
export function styled(text: string, style: keyof typeof STYLES, screen: Screen | null): string {
  return screen?.hasColors ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
}
