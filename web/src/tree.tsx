/** Shows JSON as a tree. Nodes open on a click, and closed nodes are not built. */

import { useState } from "preact/hooks";
import { t } from "./i18n";
import { type Json, writeJson } from "./json";

/** The number of members that a level shows at first, and that each click adds. */
const GROUP = 100;
/** The maximum number of characters of a text that are shown. */
const LONGEST = 2000;

export function Tree({ value }: { value: Json }) {
  return (
    <div class="tree code" dir="ltr">
      <Node value={value} isOpen />
    </div>
  );
}

function Node({
  name,
  value,
  isOpen = false,
}: {
  name?: string | number;
  value: Json;
  isOpen?: boolean;
}) {
  const key = name === undefined ? null : <span class="key">{name}: </span>;
  if (typeof value !== "object" || value === null) {
    return (
      <div class="leaf">
        {key}
        <Leaf value={value} />
      </div>
    );
  }
  const members: [string | number, Json][] = Array.isArray(value)
    ? value.map((inner, index) => [index, inner])
    : Object.entries(value);
  const brackets = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return (
    <Branch
      isOpen={isOpen && members.length > 0}
      summary={
        <>
          {key}
          {brackets[0]}
          <span class="count">{members.length}</span>
          {brackets[1]}
        </>
      }
      draw={() => <Members members={members} areOpen={isOpen && members.length <= 10} />}
    />
  );
}

interface BranchProperties {
  isOpen: boolean;
  summary: preact.ComponentChildren;
  draw(): preact.ComponentChildren;
}

function Branch({ isOpen, summary, draw }: BranchProperties) {
  const [open, setOpen] = useState(isOpen);
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{summary}</summary>
      {open && <div class="members">{draw()}</div>}
    </details>
  );
}

function Members({ members, areOpen }: { members: [string | number, Json][]; areOpen: boolean }) {
  const [shown, setShown] = useState(GROUP);
  return (
    <>
      {members.slice(0, shown).map(([name, value]) => (
        <Node key={name} name={name} value={value} isOpen={areOpen} />
      ))}
      {members.length > shown && (
        <button type="button" class="quiet" onClick={() => setShown(shown + GROUP)}>
          {t("show_more")}
        </button>
      )}
    </>
  );
}

function Leaf({ value }: { value: Json }) {
  const text =
    typeof value === "string" && value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value;
  return <span class={`value ${value === null ? "null" : typeof value}`}>{writeJson(text)}</span>;
}
