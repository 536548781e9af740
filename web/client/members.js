// The members of a channel, from what the server tells (PROTOCOL.md, "Presence"). No I/O.

export class Members {
  #byId = new Map();
  #count = 0;
  #listed = true;

  /** The handlers for EventHub.subscribe. `changed()` is called after each change. */
  handlers(changed) {
    const told = (message) => {
      this.#replace(message);
      changed();
    };
    const set = (member) => {
      this.#set(member);
      changed();
    };
    const leave = ({ id }) => {
      this.#byId.delete(id);
      changed();
    };
    return { onSubscribed: told, onPresence: told, onJoin: set, onUpdate: set, onLeave: leave };
  }

  /** In order of their ids; with more than 200 the server gives only their number. */
  get list() {
    return [...this.#byId.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
  }

  get count() {
    return this.#listed ? this.#byId.size : this.#count;
  }

  #set(member) {
    this.#byId.set(member.id, member);
  }

  #replace({ count = 0, members }) {
    this.#byId.clear();
    this.#listed = members !== undefined;
    this.#count = count;
    for (const member of members ?? []) this.#set(member);
  }
}
