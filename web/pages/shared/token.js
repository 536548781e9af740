// The token of this tab: from a link's fragment, or typed in where the server asks for one. It is kept as long as the tab, and nowhere else.

const KEY = "eventhub.token";

const WORDS = {
  unauthorized: "This needs a token.",
  invalid_token: "That token is not accepted.",
  token_expired: "The token has expired.",
  forbidden: "The token does not allow this.",
  revoked: "This token has been shut out.",
  expiring: "The token is about to expire. With a new one you stay connected.",
};

/** Why a token is asked for: a sentence for the code, then what the server said. */
export function describeRefusal({ code, message }) {
  return [WORDS[code], message && `The server says: ${message}.`].filter(Boolean).join(" ");
}

/** A URL's fragment without its `token`, and that token, or null. */
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

  /** `form` holds an input, a .reason and a button; `next` gets the focus when it is done with; `onChange(token)` a new one, or null for none. */
  constructor(form, next, onChange, storage = sessionStorageOrNone()) {
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

  /** Shows the field: because of an EventHubError, a status with its reason, or the code `expiring`. */
  ask({ code, message, reason }) {
    this.#form.hidden = false;
    // An alert that is written while it is hidden is not said.
    this.#form.querySelector(".reason").textContent = describeRefusal({ code, message: message ?? reason });
    this.#field.setAttribute("aria-invalid", String(code !== "unauthorized" && code !== "expiring"));
    if (code !== "expiring" && !isWriting(document.activeElement)) this.#field.focus();
  }

  /** Nobody needs to be asked any more. */
  done() {
    const focused = this.#form.contains(document.activeElement);
    this.#form.hidden = true;
    if (focused) this.#next.focus();
    this.#form.querySelector(".reason").textContent = "";
    this.#field.value = "";
  }

  // History entries, bookmarks and screenshots would keep it.
  #readAddress() {
    const { token, fragment } = takeToken(location.hash);
    if (fragment !== location.hash) history.replaceState(history.state, "", location.pathname + location.search + fragment);
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

// Who is in the middle of a message shall not type its rest into the field.
const isWriting = (element) => /^(INPUT|TEXTAREA)$/.test(element?.tagName) && element.value !== "";

// A browser may forbid storage altogether; the token then lasts as long as the page.
function sessionStorageOrNone() {
  try {
    sessionStorage.getItem(KEY);
    return sessionStorage;
  } catch {
    const kept = new Map();
    return {
      getItem: (name) => kept.get(name) ?? null,
      setItem: (name, value) => kept.set(name, value),
      removeItem: (name) => kept.delete(name),
    };
  }
}
