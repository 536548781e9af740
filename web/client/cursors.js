// Keeps the cursor of a subscriber in a storage. It is loaded when the hub has a `storage`.

const ignore = () => {};

/**
 * Resolves with what the storage changes in the options of a subscriber: where it begins, and its
 * Keeper. The page that resumes a state must have kept its keys, too: so only with a name.
 */
export async function kept(storage, channel, { since, cursor = channel }) {
  const key = `eventhub.cursor.${cursor}`;
  const stored = await storage.getItem(key);
  const keeper = new Keeper(storage, key);
  return { keeper, since: stored ?? since };
}

class Keeper {
  #storage;
  #key;
  #handled = Promise.resolve();
  #waiting = 0;

  constructor(storage, key) {
    this.#storage = storage;
    this.#key = key;
  }

  /**
   * Stores what `cursor()` returns when the handler of this message, and those of all before, are
   * done: at once, if none of them is a promise. So a crash brings one event again, not all that
   * came together. After a handler that failed nothing is stored: the next page load begins before
   * it.
   */
  keep(handler, cursor) {
    if (!this.#waiting && typeof handler?.then !== "function") return this.#store(cursor());
    this.#waiting += 1;
    const done = Promise.resolve(handler).catch((error) => this.#fail(error));
    this.#handled = Promise.all([this.#handled, done]).then(() => {
      this.#waiting -= 1;
      this.#store(cursor());
    });
  }

  /** Stores nothing more. */
  stop() {
    this.#storage = null;
  }

  #fail(error) {
    this.stop();
    queueMicrotask(() => {
      throw error; // as every error that nobody catches
    });
  }

  // A full or forbidden storage must not stop delivery: the cursor then lasts as long as the page.
  #store(cursor) {
    if (cursor === undefined) return;
    try {
      this.#storage?.setItem(this.#key, cursor)?.catch?.(ignore);
    } catch {
      // See above.
    }
  }
}
