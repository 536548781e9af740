// One message on the page: sender, text, time, and whether it is pending, delivered or failed.

import { clone } from "../common/dom.js";
import { showName } from "./people.js";

// toLocaleString() would look the format up for each message.
const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const FULL_TIME = new Intl.DateTimeFormat([], { dateStyle: "short", timeStyle: "medium" });

export function messageRow({ sender, text }, own) {
  const row = clone("message");
  row.classList.toggle("own", own);
  showName(row, sender);
  row.querySelector(".text").textContent = text;
  return row;
}

export function showTime(row, time) {
  const date = new Date(time);
  const clock = row.querySelector("time");
  clock.dateTime = time;
  clock.title = FULL_TIME.format(date);
  clock.textContent = CLOCK.format(date);
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
