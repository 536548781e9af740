// What this browser remembers: a browser may forbid it, and then it lasts as long as the page.

const values = new Map();

export function recall(key) {
  try {
    return localStorage.getItem(key) ?? values.get(key) ?? "";
  } catch {
    return values.get(key) ?? "";
  }
}

/** An empty value is forgotten. */
export function remember(key, value) {
  values.set(key, value);
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    // See above.
  }
}
