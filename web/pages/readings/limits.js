// Thresholds by unit, as the address has them: "Cel:18:26", one side may be empty. No I/O.

/** Reads ?limits=Cel:18:26,%::90 into a map from unit to { low, high }. */
export function limitsFrom(text) {
  const limits = new Map();
  for (const part of (text ?? "").split(",").filter(Boolean)) {
    const [unit, low, high] = part.split(":");
    const limit = { low: number(low), high: number(high) };
    if (limit.low !== null || limit.high !== null) limits.set(decodeURIComponent(unit), limit);
  }
  return limits;
}

export function limitsText(limits) {
  const side = (value) => value ?? "";
  return [...limits]
    .map(([unit, { low, high }]) => `${encodeURIComponent(unit)}:${side(low)}:${side(high)}`)
    .join(",");
}

/** What is wrong with a value: "above 26", "below 18", or "". */
export function breach(value, limit) {
  if (!limit) return "";
  if (limit.high !== null && value > limit.high) return `above ${limit.high}`;
  if (limit.low !== null && value < limit.low) return `below ${limit.low}`;
  return "";
}

/** A number that is typed, or null. */
export function number(text) {
  const value = Number(text);
  return text === undefined || text.trim() === "" || !Number.isFinite(value) ? null : value;
}
