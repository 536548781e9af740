"""Where events are stored and announced. `base` holds the contract, every other module one broker."""
