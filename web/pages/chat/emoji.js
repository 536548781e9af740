// Emoji by name, for `:name:` in the composer and for reactions. No I/O.

/** Those that the palette of reactions offers. */
export const USUAL = ["👍", "❤️", "😂", "🎉", "👀", "🙏", "✅", "👎"];

const NAMES = {
  thumbsup: "👍", thumbsdown: "👎", heart: "❤️", joy: "😂", tada: "🎉", eyes: "👀", pray: "🙏",
  white_check_mark: "✅", x: "❌", smile: "😄", grinning: "😀", wink: "😉", blush: "😊",
  sunglasses: "😎", thinking: "🤔", neutral: "😐", confused: "😕", cry: "😢", sob: "😭",
  rage: "😡", scream: "😱", sweat: "😅", sleeping: "😴", hugs: "🤗", facepalm: "🤦", shrug: "🤷",
  clap: "👏", wave: "👋", ok_hand: "👌", muscle: "💪", raised_hands: "🙌", point_up: "☝️",
  point_right: "👉", fire: "🔥", sparkles: "✨", star: "⭐", zap: "⚡", bulb: "💡", bug: "🐛",
  rocket: "🚀", warning: "⚠️", question: "❓", exclamation: "❗", hourglass: "⏳", bell: "🔔",
  lock: "🔒", key: "🔑", mag: "🔍", memo: "📝", calendar: "📅", chart: "📈", package: "📦",
  wrench: "🔧", hammer: "🔨", coffee: "☕", beer: "🍺", pizza: "🍕", cake: "🎂", apple: "🍎",
  sun: "☀️", cloud: "☁️", rain: "🌧️", snow: "❄️", rainbow: "🌈", earth: "🌍", moon: "🌙",
  dog: "🐶", cat: "🐱", unicorn: "🦄", bee: "🐝", turtle: "🐢", tree: "🌳", rose: "🌹",
  soccer: "⚽", trophy: "🏆", medal: "🏅", gift: "🎁", music: "🎵", camera: "📷", phone: "📱",
  computer: "💻", car: "🚗", train: "🚆", plane: "✈️", ship: "🚢", house: "🏠", money: "💰",
  hundred: "💯", plus: "➕", minus: "➖", up: "⬆️", down: "⬇️", left: "⬅️", right: "➡️",
  poop: "💩", ghost: "👻", robot: "🤖", alien: "👽", skull: "💀", party: "🥳", handshake: "🤝",
};

/** The names that fit what was typed, best first, each with its emoji. */
export function emojiLike(typed, most = 6) {
  const wanted = typed.toLowerCase();
  const rank = (name) => (name.startsWith(wanted) ? 0 : name.includes(wanted) ? 1 : 2);
  return Object.entries(NAMES)
    .filter(([name]) => rank(name) < 2)
    .sort(([one], [other]) => rank(one) - rank(other) || one.length - other.length)
    .slice(0, most)
    .map(([name, emoji]) => ({ name, emoji }));
}

/** A text with each `:name:` replaced by its emoji. */
export function withEmoji(text) {
  return text.replace(/:([a-z_]+):/g, (typed, name) => NAMES[name] ?? typed);
}
