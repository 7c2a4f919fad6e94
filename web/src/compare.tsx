/** A picture and what was made of it, one over the other, with a divider that can be moved. */

import { useState } from "preact/hooks";
import { useUrl } from "./hooks";
import { t } from "./i18n";

interface Properties {
  before: { name: string; file: File }[];
  after: string | undefined;
}

export function Compare({ before, after }: Properties) {
  const [which, setWhich] = useState(0);
  const [place, setPlace] = useState(50);
  const [isSame, setSame] = useState(true);
  const [ratio, setRatio] = useState(0);
  const url = useUrl(before[Math.min(which, before.length - 1)]?.file ?? null);
  const ratioOf = (image: HTMLImageElement) => image.naturalWidth / image.naturalHeight;
  return (
    <div class="compare">
      {before.length > 1 && (
        <label>
          {t("compare_with")}
          <select value={which} onChange={(event) => setWhich(Number(event.currentTarget.value))}>
            {before.map(({ name }, index) => (
              <option key={name} value={index}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )}
      <div class="pair">
        <img
          src={after}
          alt={t("resulting_picture")}
          onLoad={({ currentTarget }) => setRatio(ratioOf(currentTarget))}
        />
        <img
          class="before"
          src={url}
          alt={t("sent_picture")}
          onLoad={({ currentTarget }) =>
            setSame(Math.abs(ratioOf(currentTarget) / (ratio || 1) - 1) < 0.03)
          }
          style={{
            clipPath: `inset(0 ${100 - place}% 0 0)`,
            // A picture of another form is not pulled into this one.
            objectFit: isSame ? "fill" : "contain",
          }}
        />
        <span class="divider" style={{ left: `${place}%` }} />
      </div>
      <label>
        {t("before_after")}
        <input
          type="range"
          dir="ltr"
          min={0}
          max={100}
          value={place}
          onInput={(event) => setPlace(Number(event.currentTarget.value))}
        />
      </label>
    </div>
  );
}
