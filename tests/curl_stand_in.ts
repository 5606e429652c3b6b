/** What the documents use of curl, for machines that have none. */

const [url, ...more] = Deno.args.filter((argument, index) => !argument.startsWith("-") && !takesValue(Deno.args[index - 1]));
if (url === undefined || more.length > 0) throw new Error(`Cannot read the arguments: ${Deno.args.join(" ")}`);
const body = valuesOf("-d")[0] ?? null;
const headers = valuesOf("-H").map((line): [string, string] => [line.split(":")[0]!, line.replace(/^[^:]*: */, "")]);
const answer = await fetch(url, {
  method: valuesOf("-X")[0] ?? (body === null ? "GET" : "POST"),
  headers: [["user-agent", "curl/8.0.0"], ...headers],
  body,
});
await Deno.stdout.write(new Uint8Array(await answer.arrayBuffer()));

function valuesOf(option: string): readonly string[] {
  return Deno.args.filter((_, index) => Deno.args[index - 1] === option);
}

function takesValue(argument: string | undefined): boolean {
  return argument !== undefined && /^-[XHd]$/.test(argument);
}
