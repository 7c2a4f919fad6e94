/** Shows the same request as code for other tools. */

import { useEffect, useState } from "preact/hooks";
import { clientsOf, forClient } from "./clients";
import { t } from "./i18n";
import { isBlob, type Model } from "./model";
import { type Call as CallInPython, inPython } from "./python";
import { copy } from "./result";
import { extras, given, shell, toHash, values } from "./values";

interface Call extends CallInPython {
  url: string;
}

const WRITERS: { [language: string]: (call: Call) => string } = {
  curl: ({ url, pairs, needsToken }) =>
    [
      `curl ${shell(url)}`,
      needsToken && `-H "Authorization: Bearer $TOKEN"`,
      // A typed text may begin with a character that curl reads as a file name.
      ...pairs.map(([name, value]) =>
        value instanceof File
          ? `-F ${shell(`${name}=@"${value.name.replace(/[\\"]/g, "\\$&")}"`)}`
          : `--form-string ${shell(`${name}=${value}`)}`,
      ),
      // A request without inputs is a POST too.
      pairs.length === 0 && "-X POST",
    ]
      .filter(Boolean)
      .join(" \\\n  "),
  Python: inPython,
  JavaScript: ({ url, pairs, needsToken }) => {
    const hasFiles = pairs.some(([, value]) => value instanceof File);
    return [
      hasFiles && `import { openAsBlob } from "node:fs"; // in a page, take the File of an input\n`,
      hasFiles ? "const form = new FormData();" : "const form = new URLSearchParams();",
      ...pairs.map(([name, value]) => {
        if (value instanceof File)
          return `form.append(${script(name)}, await openAsBlob(${script(value.name)}));`;
        // A form of texts and files changes line breaks, but not those of a file.
        const isLines = hasFiles && /[\r\n]/.test(value);
        return `form.append(${script(name)}, ${isLines ? `new Blob([${script(value)}])` : script(value)});`;
      }),
      `const response = await fetch(${script(url)}, {`,
      `  method: "POST",`,
      needsToken && "  headers: { Authorization: `Bearer ${process.env.TOKEN}` },",
      "  body: form,",
      "});",
      "if (!response.ok) throw new Error(await response.text());",
      "console.log(await response.text());",
    ]
      .filter(Boolean)
      .join("\n");
  },
};

export function Snippets({ model }: { model: Model }) {
  const [isOpen, setOpen] = useState(false);
  const [isCopied, setCopied] = useState(false);
  useEffect(() => setCopied(false), [values.value, extras.value]);
  const link = () => new URL(toHash(model.inputs), location.href).href;
  return (
    <details class="snippets" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t("next_step")}</summary>
      {isOpen && (
        <>
          <Code model={model} />
          <div class="row">
            <button
              type="button"
              class="quiet"
              onClick={() => {
                history.replaceState(null, "", toHash(model.inputs));
                void copy(link()).then(setCopied);
              }}
            >
              {t(isCopied ? "copied" : "copy_link")}
            </button>
            <a href="docs">{t("reference")}</a>
          </div>
          <small>{t("link_note")}</small>
        </>
      )}
    </details>
  );
}

/** Shows the request as code, in each language and for the clients of each protocol. */
export function Code({ model }: { model: Model }) {
  const [language, setLanguage] = useState("curl");
  const [isCopied, setCopied] = useState(false);
  useEffect(() => setCopied(false), [values.value, extras.value, language]);
  // A file input without a chosen file is part of the code, too.
  const chosen = given(model.inputs);
  const missing = model.inputs
    .filter(
      (input) => isBlob(input) && input.required && !chosen.some(([name]) => name === input.name),
    )
    .map(({ name }): [string, File] => [name, new File([], "FILE")]);
  const call: Call = {
    url: new URL("infer", document.baseURI).href,
    folder: new URL(".", document.baseURI).href,
    inputs: model.inputs,
    pairs: [...chosen, ...missing],
    needsToken: model.needs_token,
  };
  const names = [...Object.keys(WRITERS), ...clientsOf(model)];
  // A program that was changed may have lost the task of a client.
  if (!names.includes(language)) setLanguage("curl");
  const code = WRITERS[language]?.(call) ?? forClient(language, { ...call, model });
  return (
    <>
      <div class="row" role="group" aria-label={t("code_in")}>
        {names.map((name) => (
          <button
            type="button"
            class="chip"
            key={name}
            aria-pressed={name === language}
            onClick={() => setLanguage(name)}
          >
            {name}
          </button>
        ))}
      </div>
      <pre class="code" dir="ltr" tabIndex={0} aria-label={t("code_in")} data-language={language}>
        {code}
      </pre>
      <div class="row">
        <button type="button" class="quiet" onClick={() => void copy(code).then(setCopied)}>
          {t(isCopied ? "copied" : "copy_code")}
        </button>
      </div>
    </>
  );
}

/** Quotes a text for JavaScript, also inside the `<script>` of a page. */
const script = (text: string) => JSON.stringify(text).replace(/</g, "\\u003c");
