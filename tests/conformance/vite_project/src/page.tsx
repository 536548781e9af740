import { useChannel, useLatest, usePresence, useStatus } from "@eventhub/client/react";
import { useState } from "react";

interface Order {
  number: number;
}

export function Page() {
  const [shown, setShown] = useState(true);
  const status = useStatus();
  return (
    <main>
      <p id="status">{status.state}</p>
      <button id="toggle" onClick={() => setShown(!shown)} />
      {shown && <Orders id="one" />}
      <Orders id="two" />
      <Places />
      <Light />
      <People />
    </main>
  );
}

/** Two of these show the same. */
function Orders({ id }: { id: string }) {
  const { events, gaps, error } = useChannel<Order>("orders.eu", { since: "earliest", limit: 5 });
  const numbers = events.map(({ data }) => data.number).join(" ");
  return <p id={id}>{`${numbers} ${gaps.map(({ reason }) => reason)} ${error?.code ?? ""}`}</p>;
}

function Places() {
  const { events } = useChannel<Order>("places.>", { since: "state", where: "data.number > 1" });
  return <p id="places">{events.map(({ channel, data }) => `${channel}=${data.number}`).join()}</p>;
}

function Light() {
  const [level, setLevel] = useLatest<number>("light.hall", 0);
  return (
    <button id="light" onClick={() => void setLevel((before) => before + 1)}>
      {level}
    </button>
  );
}

function People() {
  const { members, count } = usePresence("room.a", { member: { id: "ana", data: { at: "page" } } });
  return <p id="people">{`${count}: ${members.map(({ id, data }) => `${id} ${data?.at}`)}`}</p>;
}
