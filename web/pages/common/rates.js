// How fast channels grow, from two looks at the list of channels. No I/O.

/** Events between two heads. Offsets of one epoch count events, but for jumps. */
export function moved(before, now) {
  if (!before || !now) return 0;
  const [epoch, offset] = before.split("-");
  const [newEpoch, newOffset] = now.split("-");
  return epoch === newEpoch ? Math.max(0, Number(newOffset) - Number(offset)) : 0;
}

/** A number for people: one digit after the point if it is small and not whole. */
export function shown(number) {
  const digits = number > 0 && number < 10 && !Number.isInteger(number) ? 1 : 0;
  return number.toLocaleString("en", { maximumFractionDigits: digits });
}
