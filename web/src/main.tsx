/** The page: waits for the model, then shows the form, the result and the history. */

import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { broken, BrokenProgram, follow } from "./follow";
import { Form } from "./form";
import { applyTheme, Header } from "./header";
import { History, recall } from "./history";
import { preferred, speak, t } from "./i18n";
import { embedded, type Model, whenReady } from "./model";
import { Result } from "./result";
import { Snippets } from "./snippets";
import "./style.scss";
import { carryOver, fromHash, initial, values } from "./values";

function Page() {
  const [model, setModel] = useState(embedded);
  const [trouble, setTrouble] = useState("");
  const shown = useRef(model);
  shown.current = model;
  useEffect(() => {
    if (!model) void whenReady(setTrouble).then(setModel);
    return follow(
      () => shown.current,
      (next) => {
        carryOver(shown.current?.inputs ?? [], next.inputs);
        setModel(next);
      },
    );
  }, []);
  if (!model) {
    return (
      <>
        <Header about={{}} title={t(trouble ? "unavailable" : "loading")} />
        <main>
          <p role="status">{trouble ? "" : t("loading_note")}</p>
          <BrokenProgram />
          {trouble && !broken.value && (
            <pre role="alert" dir="auto">
              {trouble}
            </pre>
          )}
          {!trouble && <progress aria-label={t("loading")} />}
        </main>
      </>
    );
  }
  return <Loaded model={model} />;
}

function Loaded({ model }: { model: Model }) {
  const title = model.model.name ?? t("model");
  useState(() => {
    values.value = initial(model.inputs);
    fromHash(model, location.hash);
  });
  useEffect(() => {
    document.title = title;
  }, [title]);
  useEffect(() => {
    void recall(model);
    const changed = () => fromHash(model, location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, [model]);
  return (
    <>
      <Header about={model.model} title={title} />
      <BrokenProgram />
      <main class="columns">
        <div>
          <Form model={model} />
          <Snippets model={model} />
        </div>
        <div>
          <Result model={model} />
          <History />
        </div>
      </main>
    </>
  );
}

async function start() {
  applyTheme();
  await speak(preferred());
  const root = document.getElementById("app");
  if (!root) return;
  if (root.dataset.view === "docs") {
    const { Docs } = await import("./docs");
    render(<Docs />, root);
  } else {
    render(<Page />, root);
  }
}

void start();
