/** Publishes events on Node's diagnostics channels, for tools that the application does not configure. */

import { channel } from "node:diagnostics_channel";
import type { ConnectionEvent } from "../base/events.ts";
import { CHANNELS, type ChannelName } from "../base/vocabulary.ts";

type Channel = ReturnType<typeof channel>;

const byType = new Map<ConnectionEvent["type"], Channel>(
  Object.entries(CHANNELS).flatMap(([name, { events }]) =>
    events.map((type) => [type, channel(name as ChannelName)] as const),
  ),
);

/** True if a subscriber gets events of this type: otherwise no event need be created. */
export function isPublished(type: ConnectionEvent["type"]): boolean {
  return byType.get(type)?.hasSubscribers === true;
}

/** Publishes an event. Node reports an error of a subscriber as an uncaught exception. */
export function publishEvent(event: ConnectionEvent): void {
  const channel = byType.get(event.type);
  if (channel?.hasSubscribers) channel.publish(event);
}
