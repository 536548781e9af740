// The token of this tab, from a link's fragment or from the form. It is kept as long as the tab.

const KEY = "eventhub.token";

const SENTENCES = {
  unauthorized: "This needs a token.",
  invalid_token: "That token is not accepted.",
  token_expired: "The token has expired.",
  forbidden: "The token does not allow this.",
  revoked: "This token has been revoked.",
  expiring: "The token is about to expire. With a new one you stay connected.",
};

/** Why a token is asked for: a sentence for the code, then the server's message. */
export function describeRefusal({ code, message }) {
  const said = message?.replace(/; expected Authorization: .*$/, ""); // that is for programs
  return [SENTENCES[code], said && `The server says: ${said}.`].filter(Boolean).join(" ");
}

/** Splits a URL's fragment into its `token`, or null, and the rest. */
export function takeToken(fragment) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  if (!fields.has("token")) return { token: null, fragment };
  const token = fields.get("token").trim() || null;
  fields.delete("token");
  return { token, fragment: fields.size ? `#${fields}` : "" };
}

export class Token {
  #form;
  #field;
  #next;
  #onChange;
  #storage;

  /**
   * `form` holds an input, a .reason and a button. `next` is focused after the form is closed.
   * `onChange(token)` is called with each new token, null for none.
   */
  constructor(form, next, onChange, storage = sessionStorageOrMemory()) {
    this.#form = form;
    this.#field = form.querySelector("input");
    this.#next = next;
    this.#onChange = onChange;
    this.#storage = storage;
    this.#readAddress();
    addEventListener("hashchange", () => this.#readAddress() && onChange(this.value));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#change(this.#field.value.trim() || null);
    });
  }

  /** The token, or null. */
  get value() {
    return this.#storage.getItem(KEY);
  }

  /** Shows the form because of an EventHubError, a refused status, or the code `expiring`. */
  ask({ code, message, reason }) {
    const missing = code === "forbidden" && !this.value;
    const known = missing ? "unauthorized" : code;
    const text = describeRefusal({ code: known, message: message ?? reason });
    const invalid = code !== "unauthorized" && code !== "expiring";
    // A screen reader announces the alert only if it is visible when it is written.
    this.#form.hidden = false;
    this.#form.querySelector(".reason").textContent = text;
    this.#field.setAttribute("aria-invalid", String(invalid));
    if (code !== "expiring" && !isWriting(document.activeElement)) this.#field.focus();
  }

  /** Closes the form. */
  done() {
    const focused = this.#form.contains(document.activeElement);
    this.#form.hidden = true;
    if (focused) this.#next.focus();
    this.#form.querySelector(".reason").textContent = "";
    this.#field.value = "";
  }

  // The token is removed from the address: history, bookmarks and screenshots would keep it.
  #readAddress() {
    const { token, fragment } = takeToken(location.hash);
    if (fragment !== location.hash) {
      history.replaceState(history.state, "", location.pathname + location.search + fragment);
    }
    if (token) this.#storage.setItem(KEY, token);
    return token !== null;
  }

  #change(token) {
    if (token) this.#storage.setItem(KEY, token);
    else this.#storage.removeItem(KEY);
    this.done();
    this.#onChange(token);
  }
}

// The focus is not taken from a person who is writing: the rest would go into the token's field.
const isWriting = (element) => /^(INPUT|TEXTAREA)$/.test(element?.tagName) && element.value !== "";

// A browser may forbid storage: the token then lasts as long as the page.
function sessionStorageOrMemory() {
  try {
    sessionStorage.getItem(KEY);
    return sessionStorage;
  } catch {
    const values = new Map();
    return {
      getItem: (name) => values.get(name) ?? null,
      setItem: (name, value) => values.set(name, value),
      removeItem: (name) => values.delete(name),
    };
  }
}
