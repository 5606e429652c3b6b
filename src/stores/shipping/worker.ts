/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { connectPostgres } from "../postgres/connect.ts";
import { openSpool } from "../sqlite/spool.ts";
import type { FurtherMessage, ShippingMessage, StartMessage } from "./protocol.ts";
import { SharedDatabase } from "./shared_database.ts";
import { PACE, type Report, Shipper } from "./shipper.ts";

/** Between two words on how it goes: the backlog is counted for each. */
const STATE_MS = 250;

/** One shipment at a time; one that a frozen server does not answer is sent again. */
const CONNECTING = { max: 2, patientSeconds: 10 };

self.onmessage = ({ data }: MessageEvent<StartMessage>) => begin(data);

function begin({ path, synchronous, databaseUrl, seed }: StartMessage): void {
  const spool = openSpool(path, { synchronous });
  const database = new SharedDatabase((url) => connectPostgres(url, CONNECTING), databaseUrl);
  const state = { failure: null as string | null, shipped: 0, errors: 0 };
  const shipper = new Shipper({
    spool,
    sink: () => database.ready(),
    pace: PACE,
    random: jitterFrom(seed),
    onReport: (report) => note(report),
  });

  function note({ shipped, quarantined, failure }: Report): void {
    state.shipped += shipped;
    state.failure = failure;
    if (failure !== null) state.errors++;
    if (quarantined.length === 0) return;
    say({
      quarantined: quarantined.map(({ row: { call }, reason }) => ({ id: call.id, workspaceId: call.workspaceId, reason })),
    });
  }

  const telling = setInterval(() => say({ state: { ...state, ...spool.backlog() } }), STATE_MS);

  async function finish(running: Promise<void>): Promise<void> {
    shipper.stop();
    await running;
    while (await shipper.round()) continue;
    clearInterval(telling);
    say({ state: { ...state, ...spool.backlog() } });
    spool.close();
    await database.close();
    say({ finished: true });
  }

  const running = shipper.run();
  self.onmessage = ({ data }: MessageEvent<FurtherMessage>) => {
    if ("finish" in data) return void finish(running);
    database.rotate(data.rotate);
    shipper.hurry();
  };
}

function say(message: ShippingMessage): void {
  self.postMessage(message);
}

/** Numbers from 0 up to 1, the same ones for a seed: good enough to keep replicas from coming back all at once. */
function jitterFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 >>> 0;
    return state / 4_294_967_296;
  };
}
