// The sensors that have readings, by channel and name, with their newest values. No I/O.

import { COLOURS, colourOf } from "../common/colour.js";
import { shortName } from "../common/patterns.js";
import { Series } from "./series.js";

/** Sensors that are shown. */
export const MOST = 100;

export class Sensors {
  /** Sensors by key, in the order of names. */
  all = [];
  /** Sensors that are not shown, because there are too many. */
  beyond = new Set();
  /** Where this page was too slow: { at, channel, skipped }. */
  conflated = [];
  #byKey = new Map();

  /** Adds the reading of an event. Returns its sensor, or null if it is not shown. */
  add({ channel, time, data }) {
    if (typeof data?.value !== "number") return null;
    const sensor = this.#sensor(channel, data);
    if (!sensor) return null;
    const at = Date.parse(time);
    if (!sensor.series.add(at, data.value, data.quality)) return sensor;
    const { value, quality = "good" } = data;
    Object.assign(sensor, { at, value, quality, unit: data.unit ?? sensor.unit });
    return sensor;
  }

  /** Readings of this channel were left out, because the page was too slow. */
  leftOut(channel, skipped, at) {
    this.conflated.push({ at, channel, skipped });
    if (this.conflated.length > 500) this.conflated.shift();
    for (const sensor of this.all) if (sensor.channel === channel) sensor.skipped += skipped;
  }

  /** The units, each with its sensors. */
  get groups() {
    const groups = new Map();
    for (const sensor of this.all) {
      if (!groups.has(sensor.unit)) groups.set(sensor.unit, []);
      groups.get(sensor.unit).push(sensor);
    }
    return groups;
  }

  #sensor(channel, { sensor: name, unit = "" }) {
    const key = name === undefined ? channel : `${channel} ${name}`;
    const known = this.#byKey.get(key);
    if (known) return known;
    if (this.all.length >= MOST) {
      if (this.beyond.size < 10_000) this.beyond.add(key);
      return null;
    }
    const label = name === undefined ? shortName(channel) : `${shortName(channel)} ${name}`;
    const hue = this.#colour(key);
    const series = new Series();
    const made = { key, channel, label, unit, hue, series, hidden: false, skipped: 0 };
    this.#byKey.set(key, made);
    this.all.push(made);
    this.all.sort((one, other) => (one.key < other.key ? -1 : 1));
    return made;
  }

  #colour(key) {
    const taken = new Set(this.all.map(({ hue }) => hue));
    let hue = colourOf(key);
    if (taken.size < COLOURS) while (taken.has(String(hue))) hue = (hue + 1) % COLOURS;
    return String(hue);
  }
}
