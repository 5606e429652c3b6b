import assert from "node:assert/strict";
import { Rooms, SHOWN_MS } from "./rooms.ts";

function roomsAt(clock: { ms: number }) {
  const rooms = new Rooms(() => clock.ms);
  return { rooms, shown: (id: string, ids = [id]) => Object.fromEntries(rooms.of(ids).get(id) ?? []) };
}

Deno.test("Rooms shows the least share of each limit, and forgets it after a minute", () => {
  const clock = { ms: 0 };
  const { rooms, shown } = roomsAt(clock);
  rooms.saw("a", { requests: 0.5, tokens: 0.9 });
  rooms.saw("a", { requests: 0.8 });
  assert.deepEqual(shown("a"), { requests: 0.5, tokens: 0.9 });
  clock.ms = 40_000;
  rooms.saw("a", { requests: 0.2 });
  assert.deepEqual(shown("a"), { requests: 0.2, tokens: 0.9 });
  clock.ms = SHOWN_MS;
  assert.deepEqual(shown("a"), { requests: 0.2 });
  clock.ms = 40_000 + SHOWN_MS;
  rooms.saw("a", { requests: 0.7 });
  assert.deepEqual(shown("a"), { requests: 0.7 });
});

Deno.test("Rooms keeps credentials apart, and forgets those that are gone", () => {
  const { rooms, shown } = roomsAt({ ms: 0 });
  rooms.saw("a", { requests: 0.1 });
  rooms.saw("b", { requests: 0.6 });
  assert.deepEqual([shown("b"), shown("a"), shown("c")], [{ requests: 0.6 }, {}, {}]);
});
