/** Shows the probabilities of labels as bars, the most likely first. */

import { percent } from "./i18n";
import type { Json } from "./json";

/** The maximum number of bars. The tree shows the other labels. */
const MOST = 20;
/** The maximum number of labels of a result with bars. One with more is shown only as a tree. */
const MOST_LABELS = 10_000;

type Labels = [label: string, probability: number][];

/** Returns the labels of a result that is an object of probabilities with the sum 1, or none. */
export function labelsOf(result: Json): Labels {
  if (typeof result !== "object" || result === null || Array.isArray(result)) return [];
  const entries = Object.entries(result);
  if (entries.length < 2 || entries.length > MOST_LABELS) return [];
  const labels = entries.filter((entry): entry is Labels[0] => isProbability(entry[1]));
  const sum = labels.reduce((sum, [, probability]) => sum + probability, 0);
  if (labels.length < entries.length || Math.abs(sum - 1) > 0.01) return [];
  return labels.sort(([, one], [, other]) => other - one);
}

export function Bars({ labels }: { labels: Labels }) {
  return (
    <table class="labels">
      <tbody>
        {labels.slice(0, MOST).map(([label, probability]) => (
          <tr key={label}>
            <th scope="row">
              <bdi>{label}</bdi>
            </th>
            <td>
              <meter value={probability} aria-label={label}>
                {percent(probability)}
              </meter>
            </td>
            <td>{percent(probability)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const isProbability = (value: Json) => typeof value === "number" && value >= 0 && value <= 1;
