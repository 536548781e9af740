// One message: sender, text, time, reactions, and whether it is pending, delivered or failed.

import { clone } from "../common/dom.js";
import { fullTime, shortClock } from "../common/times.js";
import { showName } from "./people.js";
import { writeText } from "./text-view.js";

/** `me`: the name whose mentions are marked. */
export function messageRow({ sender, text }, own, me) {
  const row = clone("message");
  row.classList.toggle("own", own);
  row.dataset.sender = sender;
  showName(row, sender);
  writeText(row.querySelector(".text"), text, me);
  return row;
}

/** `by`: the proven name of the publisher, where tokens are in use. */
export function showAuthor(row, sender, by) {
  const mark = row.querySelector(".by");
  mark.hidden = by === undefined;
  if (by === undefined) return;
  const same = by === sender;
  mark.textContent = same ? "✓" : `by ${by}`;
  mark.title = same ? "The server has checked this name" : `Published by ${by}`;
  if (same) mark.setAttribute("role", "img");
  if (same) mark.setAttribute("aria-label", "name checked");
}

/** Shows the newest version (versions.js). `mayChange`: the person may edit and delete it. */
export function showVersion(row, { text, edited, deleted, reactions }, me, mayChange) {
  row.classList.toggle("deleted", deleted);
  row.classList.toggle("changeable", mayChange && !deleted);
  const place = row.querySelector(".text");
  if (deleted) place.textContent = "This message was deleted.";
  else writeText(place, text, me);
  const mark = row.querySelector(".edited");
  mark.hidden = deleted || edited === null;
  if (edited !== null) mark.title = `Edited ${fullTime(Date.parse(edited))}`;
  showReactions(row.querySelector(".reactions"), reactions);
}

function showReactions(list, reactions) {
  list.hidden = reactions.length === 0;
  list.replaceChildren(
    ...reactions.map(({ text, names, mine }) => {
      const item = clone("reaction");
      const button = item.querySelector("button");
      button.dataset.text = text;
      button.setAttribute("aria-pressed", String(mine !== null));
      button.setAttribute("aria-label", `${text} ${names.length}: ${names.join(", ")}`);
      button.title = names.join(", ");
      item.querySelector(".emoji").textContent = text.slice(0, 16);
      item.querySelector(".count").textContent = String(names.length);
      return item;
    }),
  );
}

export function showTime(row, time) {
  const clock = row.querySelector("time");
  clock.dateTime = time;
  clock.title = fullTime(Date.parse(time));
  clock.textContent = shortClock(Date.parse(time));
}

/** `progress` stands where the time will be. */
export function showPending(row, progress) {
  row.classList.remove("failed");
  row.classList.add("pending");
  row.querySelector(".failure").hidden = true;
  row.querySelector("time").textContent = progress;
}

export function showDelivered(row, time) {
  row.classList.remove("pending", "failed");
  showTime(row, time);
  row.querySelector(".failure").hidden = true;
  const mark = row.querySelector(".mark");
  mark.textContent = " ✓";
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", "delivered");
}

export function showFailed(row, reason) {
  row.classList.replace("pending", "failed");
  row.querySelector("time").textContent = "";
  row.querySelector(".failure").hidden = false;
  row.querySelector(".reason").textContent = `Not sent: ${reason}`;
}
