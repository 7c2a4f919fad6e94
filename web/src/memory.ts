/** Stores the user's choices in the browser, if it allows storage. */

export function remembered(key: string): string | null {
  try {
    return localStorage.getItem(`ai_integration.${key}`);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string) {
  try {
    localStorage.setItem(`ai_integration.${key}`, value);
  } catch {
    // Storage may be switched off.
  }
}
