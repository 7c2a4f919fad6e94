/** Shows a sent picture and the resulting one, one over the other, with a movable divider. */

import { useState } from "preact/hooks";
import { useUrl } from "./hooks";
import { t } from "./i18n";

interface Properties {
  before: { name: string; file: File }[];
  after: string | undefined;
  /** The label of the resulting picture. */
  label: string;
}

export function Compare({ before, after, label }: Properties) {
  const [which, setWhich] = useState(0);
  const [place, setPlace] = useState(50);
  const [ratios, setRatios] = useState({ before: 0, after: 0 });
  const url = useUrl(before[Math.min(which, before.length - 1)]?.file ?? null);
  const note = (side: "before" | "after") => (event: { currentTarget: HTMLImageElement }) => {
    const { naturalWidth, naturalHeight } = event.currentTarget;
    setRatios((known) => ({ ...known, [side]: naturalWidth / naturalHeight }));
  };
  const isSame = Math.abs(ratios.before / (ratios.after || 1) - 1) < 0.03;
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
        <img src={after} alt={label} onLoad={note("after")} />
        <img
          class="before"
          src={url}
          alt={t("sent_picture")}
          onLoad={note("before")}
          style={{
            clipPath: `inset(0 ${100 - place}% 0 0)`,
            // A picture with another aspect ratio is not stretched.
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
