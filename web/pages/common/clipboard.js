// Copies a text. Browsers have the clipboard in secure contexts only. Over plain HTTP a selection is
// copied.

/** Resolves with whether it was copied. */
export async function copyText(text) {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    return false; // the person, or a policy, forbids it
  }
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  focused.focus();
  return copied;
}
