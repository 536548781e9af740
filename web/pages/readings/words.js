// Numbers, units and times for people. No I/O.

// UCUM codes that people write in another way.
const UNITS = {
  Cel: "°C",
  "[degF]": "°F",
  deg: "°",
  Ohm: "Ω",
  "m/s2": "m/s²",
  m2: "m²",
  m3: "m³",
  ug: "µg",
  "ug/m3": "µg/m³",
  "[ppm]": "ppm",
};

export const unitName = (unit) => UNITS[unit] ?? unit;

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });

/** Five digits, or more for a whole number. */
export function numberText(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(3);
  return size >= 1e4 ? Math.round(value).toLocaleString("en") : plain.format(value);
}

/** "now", "12 s ago", "3 min ago", "2 h ago", "5 d ago". */
export function ageText(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 2) return "now";
  if (seconds < 100) return `${seconds} s ago`;
  if (seconds < 6000) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 172_800
    ? `${Math.floor(seconds / 3600)} h ago`
    : `${Math.floor(seconds / 86_400)} d ago`;
}
