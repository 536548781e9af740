// Whether a token lets its holder change what others wrote. The server decides; this decides which
// buttons are shown. An API key does not say what it grants, so it has none. No I/O.

/** Whether the grants of this token (a JSON Web Token, or null) have `moderate` for the channel. */
export function moderates(token, channel) {
  const patterns = claimsOf(token)?.channels?.moderate;
  return Array.isArray(patterns) && patterns.some((each) => fits(String(each), channel));
}

function claimsOf(token) {
  try {
    const text = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

/** As the server compares: `*` is one token, `>` at the end one or more. */
function fits(pattern, channel) {
  const wanted = pattern.split(".");
  const given = channel.split(".");
  const all = wanted.at(-1) === ">";
  if (all) wanted.pop();
  const sameLength = all ? given.length > wanted.length : given.length === wanted.length;
  return sameLength && wanted.every((each, index) => each === "*" || each === given[index]);
}
