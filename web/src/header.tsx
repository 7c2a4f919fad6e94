/** The header of the page: the model's title, and the choice of theme and language. */

import { signal } from "@preact/signals";
import { LANGUAGES, language, speak, t } from "./i18n";
import { remember, remembered } from "./memory";
import type { About } from "./model";

const THEMES = ["auto", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];

const theme = signal<Theme>((remembered("theme") as Theme | null) ?? "auto");

/** Applies the theme that the user chose earlier. */
export function applyTheme() {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
}

export function Header({ about, title }: { about: About; title: string }) {
  return (
    <header class="top">
      <div>
        <h1 dir="auto">
          {title}
          {about.version && <small class="version"> {about.version}</small>}
        </h1>
        {about.description && (
          <p class="description" dir="auto">
            {about.description}
          </p>
        )}
      </div>
      <div class="row settings">
        <select
          aria-label={t("language")}
          value={language.value}
          onChange={(event) => void speak(event.currentTarget.value, true)}
        >
          {Object.entries(LANGUAGES).map(([code, { name }]) => (
            <option key={code} value={code} lang={code}>
              {name}
            </option>
          ))}
        </select>
        <select
          aria-label={t("theme")}
          value={theme.value}
          onChange={(event) => {
            theme.value = event.currentTarget.value as Theme;
            remember("theme", theme.value);
            applyTheme();
          }}
        >
          {THEMES.map((one) => (
            <option key={one} value={one}>
              {t(`theme_${one}`)}
            </option>
          ))}
        </select>
      </div>
    </header>
  );
}
