// What the types refuse. `tsc` fails if one of these lines is no error.
import { useChannel, useLatest, usePresence, useStatus } from "@eventhub/client/react";

export function wrong(): void {
  const { events } = useChannel<{ number: number }>("orders.eu");
  // @ts-expect-error there is no such field
  void events[0].data.name;
  // @ts-expect-error the list is not for changes
  events.push(events[0]);
  // @ts-expect-error a handler is no option of a hook
  useChannel("orders.eu", { onEvent: () => {} });
  const [value, publish] = useLatest<number>("light.hall");
  // @ts-expect-error there may be no event yet
  void value.toFixed();
  // @ts-expect-error the data is a number
  void publish("bright");
  // @ts-expect-error the data of a member is an object
  usePresence("room.a", { member: { id: "ana", data: 7 } });
  // @ts-expect-error the seconds are there while it waits
  void useStatus().seconds;
}
