// What the page does, as programs to copy.

import { copyText } from "../common/clipboard.js";
import { byId } from "../common/dom.js";
import { SERVER } from "../common/place.js";
import { LANGUAGES, followSnippets, publishSnippets, variableOf } from "./snippets.js";

const NO_REQUEST = "There is no event yet: choose a channel, and write JSON.";

export class CodePanel {
  #language = LANGUAGES[0];
  #shown = {};
  #say;

  /** `say(text)`: tells what was done. */
  constructor(say) {
    this.#say = say;
    for (const language of LANGUAGES) this.#addButton(language);
    for (const name of ["publish", "follow"]) {
      byId(`copy-${name}`).addEventListener("click", () => this.#copy(byId(`code-${name}`)));
    }
  }

  /** `shown`: { view, request (null: it is no event), credential }. */
  show(shown) {
    this.#shown = shown;
    this.#draw();
  }

  #draw() {
    const { view, request, credential } = this.#shown;
    const server = SERVER.href.replace(/\/$/, "");
    const variable = variableOf(credential);
    for (const button of byId("languages").children) {
      button.setAttribute("aria-pressed", String(button.textContent === this.#language));
    }
    const texts = {
      publish: request && publishSnippets(request, server, variable)[this.#language],
      follow: view && followSnippets(view, server, variable)[this.#language],
    };
    byId("copy-publish").hidden = !request;
    write("code-publish", texts.publish ?? NO_REQUEST);
    write("code-follow", texts.follow ?? "");
  }

  #addButton(language) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = language;
    button.addEventListener("click", () => {
      this.#language = language;
      this.#draw();
    });
    byId("languages").append(button);
  }

  async #copy(code) {
    const copied = await copyText(code.textContent);
    this.#say(copied ? "Copied" : "The browser does not allow copying here");
  }
}

function write(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}
