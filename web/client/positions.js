// Positions in the log of a channel (PROTOCOL.md, "Words"), and names that are patterns.

/**
 * Whether `position` is at or after `other`. False for positions of different epochs, which
 * cannot be compared.
 */
export function reached(position, other) {
  const [epoch, offset] = position.split("-");
  const [otherEpoch, otherOffset] = other.split("-");
  return epoch === otherEpoch && BigInt(offset) >= BigInt(otherOffset);
}

/** Whether the state must be read again after this gap. */
export const isForgotten = ({ reason, position }) =>
  (reason === "expired" || reason === "reset") && !position.endsWith("-0");

/** An expression for the channels that fit a pattern. */
export function expressionOf(pattern) {
  const signs = { ".": "\\.", "*": "[^.]+", ">": ".+" };
  return new RegExp(`^${pattern.replace(/[.*>]/g, (sign) => signs[sign])}$`);
}

/** Whether this names the channels that fit, and not one channel. */
export const isPattern = (channel) => /[*>]/.test(channel);
