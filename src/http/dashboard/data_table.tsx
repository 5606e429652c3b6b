import type { Child } from "hono/jsx";
import { CSV_LINE_END, csvText } from "../../domain/csv.ts";
import { AdminRefusal, shown } from "../admin_refusal.ts";
import { linkTo } from "./links.ts";

type Value = string | number | bigint | null;

export interface Column<Row> {
  /** In the URL and in CSV. */
  readonly key: string;
  readonly title: string;
  readonly isNumber?: true;
  /** The rows cannot be sorted by it. */
  readonly isUnsorted?: true;
  /** Exact, for CSV and for sorting; null is empty and comes last. */
  readonly value: (row: Row) => Value;
  /** For `sortedRows`, if the value is text but not sorted as such: an amount of dollars. */
  readonly sortBy?: (row: Row) => Value;
  /** A stream of events changes its cells; the head has the key as `data-live`. */
  readonly isLive?: true;
  /** On the page; if left out, the value. */
  readonly cell?: (row: Row) => Child;
}

export interface TableOrder {
  readonly key: string;
  readonly isAscending: boolean;
}

export interface TableParts<Row> {
  readonly caption: string;
  readonly url: URL;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly order: TableOrder;
  /** In front of the names in the URL, if the page has several tables. */
  readonly name?: string;
  /** The cursor of the page behind this one; null: this is the last. */
  readonly next?: string | null;
  /** Where the whole table is, if these are only its first rows. */
  readonly whole?: string;
  /** What to do if there are no rows. */
  readonly empty: Child;
  /** Of the body, for rows that a stream of events replaces. */
  readonly bodyId?: string;
  /** Attributes of a row, for the script. */
  readonly rowData?: (row: Row) => RowData;
}

type RowData = Readonly<Record<`data-${string}`, string | number>>;

/** A table that sorts and pages by links, and downloads as CSV. */
export function DataTable<Row>({ caption, url, columns, rows, order, name = "", next = null, ...parts }: TableParts<Row>) {
  const { whole, empty, bodyId, rowData } = parts;
  const [orderName, cursorName] = [nameIn(name, "order"), nameIn(name, "cursor")];
  const isFirst = !url.searchParams.has(cursorName);
  if (rows.length === 0 && isFirst && bodyId === undefined) return <div class="empty">{empty}</div>;
  return (
    <section class="table">
      <div class="scroll" role="region" aria-label={caption} tabindex={0}>
        <table>
          <caption>{caption}</caption>
          <thead>
            <tr>
              {columns.map((column) => (
                <th
                  scope="col"
                  class={column.isNumber ? "number" : undefined}
                  aria-sort={sortOf(column, order)}
                  data-live={column.isLive ? column.key : undefined}
                >
                  {column.isUnsorted
                    ? column.title
                    : <a href={linkTo(url, { [orderName]: nextOrder(column, order), [cursorName]: null })}>{column.title}</a>}
                </th>
              ))}
            </tr>
          </thead>
          <tbody id={bodyId}>
            <TableRows columns={columns} rows={rows} rowData={rowData} empty={empty} />
          </tbody>
        </table>
      </div>
      <p class="pages">
        {isFirst ? null : <a href={linkTo(url, { [cursorName]: null })}>First page</a>}
        {next === null ? null : <a href={linkTo(url, { [cursorName]: next })}>Next page</a>}
        {whole === undefined ? null : <a href={whole}>Show all</a>}
        <a href={linkTo(url, { format: "csv", table: name === "" ? null : name, [cursorName]: null })}>Download CSV</a>
      </p>
    </section>
  );
}

export interface RowsParts<Row> extends Pick<TableParts<Row>, "columns" | "rows"> {
  readonly rowData: TableParts<Row>["rowData"] | undefined;
  /** Said in the place of rows. */
  readonly empty?: Child;
}

/**
 * A table of a list that is at hand as a whole: it sorts and pages here. Throws `AdminRefusal` for
 * an order or a cursor that cannot be read.
 */
export function ListTable<Row>({ rows, size, byDefault, ...parts }: Omit<TableParts<Row>, "order" | "next"> & {
  /** Rows of a page. */
  readonly size: number;
  readonly byDefault: TableOrder;
}) {
  const { url, columns, name = "" } = parts;
  const order = tableOrderOf(url, columns, { byDefault, name });
  const page = slicedRows(url, sortedRows(rows, columns, order), { size, name });
  return <DataTable {...parts} {...page} order={order} />;
}

export function TableRows<Row>({ columns, rows, rowData, empty = null }: RowsParts<Row>) {
  if (rows.length === 0 && empty !== null) {
    return (
      <tr>
        <td class="missing" colspan={columns.length}>{empty}</td>
      </tr>
    );
  }
  return (
    <>
      {rows.map((row) => (
        <tr {...rowData?.(row)}>
          {columns.map(({ isNumber, value, cell }) => (
            <td class={isNumber ? "number" : undefined}>
              {cell === undefined ? value(row) : cell(row)}
            </td>
          ))}
        </tr>
      ))}
    </>
  );
}

/** The order in the URL, such as `cost.asc`. Throws `AdminRefusal` for one that no column has. */
export function tableOrderOf<Row>(
  { searchParams }: URL,
  columns: readonly Column<Row>[],
  { byDefault, name = "" }: { readonly byDefault: TableOrder; readonly name?: string },
): TableOrder {
  const text = searchParams.get(nameIn(name, "order"));
  if (text === null) return byDefault;
  const [key, way = "desc", ...rest] = text.split(".");
  const column = columns.find((column) => column.key === key && !column.isUnsorted);
  if (column !== undefined && rest.length === 0 && (way === "asc" || way === "desc")) {
    return { key: column.key, isAscending: way === "asc" };
  }
  const keys = columns.filter(({ isUnsorted }) => !isUnsorted).map((column) => column.key).join(", ");
  throw new AdminRefusal(
    "invalid_request_error",
    `Cannot read ${nameIn(name, "order")} as one of ${keys}, alone or with .asc or .desc behind it: current value is ${
      shown(text)
    }`,
  );
}

/** For lists that are at hand as a whole. What is null comes last, whatever the order. */
export function sortedRows<Row>(rows: readonly Row[], columns: readonly Column<Row>[], { key, isAscending }: TableOrder): Row[] {
  const column = columns.find((column) => column.key === key)!;
  const value = column.sortBy ?? column.value;
  const sign = isAscending ? 1 : -1;
  return rows.toSorted((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    return a < b ? -sign : a > b ? sign : 0;
  });
}

/**
 * A page of a list that is at hand as a whole; its cursor is a number of rows. Throws
 * `AdminRefusal`.
 */
export function slicedRows<Row>(
  { searchParams }: URL,
  rows: readonly Row[],
  { size, name = "" }: { readonly size: number; readonly name?: string },
): { readonly rows: readonly Row[]; readonly next: string | null } {
  const text = searchParams.get(nameIn(name, "cursor")) ?? "0";
  if (!/^\d{1,9}$/.test(text)) {
    throw new AdminRefusal(
      "invalid_request_error",
      `Cannot read ${nameIn(name, "cursor")} as a number of rows: current value is ${shown(text)}`,
    );
  }
  const end = Number(text) + size;
  return { rows: rows.slice(Number(text), end), next: end < rows.length ? String(end) : null };
}

/** Whether the request is for this table as CSV. */
export function wantsCsv({ searchParams }: URL, name = ""): boolean {
  return searchParams.get("format") === "csv" && (searchParams.get("table") ?? "") === name;
}

/** A file of all rows, read page by page. It breaks off if they cannot be read to their end. */
export function csvResponse<Row>(
  file: string,
  columns: readonly Column<Row>[],
  pages: AsyncIterable<readonly Row[]> | Iterable<readonly Row[]>,
): Response {
  async function* lines(): AsyncGenerator<string> {
    yield columns.map(({ key }) => csvText(key)).join(",") + CSV_LINE_END;
    for await (const rows of pages) {
      yield rows.map((row) => columns.map(({ value }) => cellText(value(row))).join(",") + CSV_LINE_END).join("");
    }
  }
  const body = ReadableStream.from(lines()).pipeThrough(new TextEncoderStream());
  return new Response(body, {
    headers: { "content-type": "text/csv; charset=utf-8", "content-disposition": `attachment; filename="${file}.csv"` },
  });
}

function cellText(value: Value): string {
  return value === null ? "" : typeof value === "string" ? csvText(value) : String(value);
}

function nameIn(table: string, name: string): string {
  return table === "" ? name : `${table}_${name}`;
}

/** The largest first; at the second click the smallest. Texts begin with A. */
function nextOrder<Row>({ key, isNumber }: Column<Row>, order: TableOrder): string {
  if (order.key === key) return `${key}.${order.isAscending ? "desc" : "asc"}`;
  return `${key}.${isNumber ? "desc" : "asc"}`;
}

function sortOf<Row>({ key }: Column<Row>, order: TableOrder): "ascending" | "descending" | undefined {
  if (order.key !== key) return undefined;
  return order.isAscending ? "ascending" : "descending";
}
