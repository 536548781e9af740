// Times as the person's browser writes them, in the person's zone. No I/O.

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
const FORMS = {
  short: { hour: "2-digit", minute: "2-digit" },
  clock: CLOCK,
  exact: { ...CLOCK, fractionalSecondDigits: 3 },
  day: { day: "numeric", month: "short" },
  dated: { day: "numeric", month: "short", ...CLOCK },
  full: { dateStyle: "medium", timeStyle: "long" },
};
// toLocaleString() would look its format up for each time.
const formats = new Map();

/** A function that writes milliseconds, or a Date, in this form. */
function written(name) {
  return (time) => {
    if (!formats.has(name)) formats.set(name, new Intl.DateTimeFormat([], FORMS[name]));
    return formats.get(name).format(time);
  };
}

/** 14:03 */
export const shortClock = written("short");
/** 14:03:09 */
export const clock = written("clock");
/** 14:03:09.123 */
export const exactClock = written("exact");
/** 30 Nov */
export const dayText = written("day");
/** 30 Nov, 14:03:09 */
export const datedClock = written("dated");

/** For people who point at a time: with the date and the zone, then as events have it. */
export const fullTime = (time) => `${written("full")(time)} · ${new Date(time).toISOString()}`;
