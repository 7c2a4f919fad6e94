/** Shows a list of records as a table. */

import { useState } from "preact/hooks";
import { t } from "./i18n";
import type { Json } from "./json";
import { own, typed } from "./model";

/** The number of rows that are shown at first, and that each click adds. */
const PAGE = 100;
const MOST_COLUMNS = 20;
/** The maximum number of characters of a cell that are shown. */
const LONGEST = 200;

export function Table({ rows }: { rows: { [key: string]: Json }[] }) {
  const [shown, setShown] = useState(PAGE);
  const columns = [...new Set(rows.slice(0, shown).flatMap(Object.keys))].slice(0, MOST_COLUMNS);
  return (
    <>
      <div class="scroller" tabIndex={0} role="region" aria-label={t("table", rows.length)}>
        <table>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col">
                  <bdi>{column}</bdi>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, shown).map((row, index) => (
              <tr key={index}>
                {columns.map((column) => (
                  <td key={column} dir="auto">
                    {shortened(typed(own(row, column)))}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > shown && (
        <button type="button" class="quiet" onClick={() => setShown(shown + PAGE)}>
          {t("show_more")}
        </button>
      )}
    </>
  );
}

const shortened = (text: string) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
