// The newest value of each sensor, large. A tile shows and hides its sensor in the chart.

import { clone } from "../common/dom.js";
import { breach } from "./limits.js";
import { ageText, numberText, unitName } from "./words.js";

export class Tiles {
  #root;
  #tiles = new Map();
  #onToggle;

  /** `onToggle(sensor)`: it was shown or hidden. */
  constructor(root, onToggle) {
    this.#root = root;
    this.#onToggle = onToggle;
  }

  /** `sensors` in order, `limits` by unit, `now` in milliseconds. */
  draw(sensors, limits, now) {
    if (sensors.length !== this.#tiles.size) this.#arrange(sensors);
    for (const sensor of sensors) this.#fill(this.#tiles.get(sensor), sensor, limits, now);
  }

  #arrange(sensors) {
    for (const sensor of sensors) if (!this.#tiles.has(sensor)) this.#create(sensor);
    this.#root.replaceChildren(...sensors.map((each) => this.#tiles.get(each)));
  }

  #create(sensor) {
    const tile = clone("tile");
    const button = tile.querySelector("button");
    tile.dataset.hue = sensor.hue;
    button.textContent = sensor.label;
    button.addEventListener("click", () => {
      sensor.hidden = !sensor.hidden;
      this.#onToggle(sensor);
    });
    this.#tiles.set(sensor, tile);
  }

  #fill(tile, sensor, limits, now) {
    const wrong = breach(sensor.value, limits.get(sensor.unit));
    tile.querySelector("button").setAttribute("aria-pressed", String(!sensor.hidden));
    write(tile, ".number", numberText(sensor.value));
    write(tile, ".unit", unitName(sensor.unit));
    write(tile, ".age", ageText(now - sensor.at));
    write(tile, ".quality", sensor.quality === "good" ? "" : sensor.quality);
    write(tile, ".breach", wrong);
    const skipped = sensor.skipped.toLocaleString("en");
    write(tile, ".skipped", sensor.skipped ? `${skipped} left out` : "");
    tile.dataset.quality = sensor.quality;
    tile.classList.toggle("breached", wrong !== "");
    tile.classList.toggle("off", sensor.hidden);
  }
}

function write(tile, selector, text) {
  const element = tile.querySelector(selector);
  if (element.textContent === text) return;
  element.textContent = text;
  element.hidden = text === "";
}
