/** Shows the reference of the API, from `/openapi.json`. */

import { useEffect, useState } from "preact/hooks";
import { Header } from "./header";
import { t } from "./i18n";
import { type Json, parseJson } from "./json";
import { described, type Model, typed } from "./model";
import { Code } from "./snippets";
import { Tree } from "./tree";
import { fill } from "./values";

interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: Json[];
  const?: Json;
  default?: Json;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  contentMediaType?: string;
  items?: Schema;
  properties?: { [name: string]: Schema };
  required?: string[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
}

interface Media {
  schema?: Schema;
  example?: Json;
}

interface ApiResponse {
  $ref?: string;
  description?: string;
  content?: { [media: string]: Media };
  headers?: { [name: string]: { $ref?: string; description?: string } };
}

interface Operation {
  summary?: string;
  description?: string;
  parameters?: {
    $ref?: string;
    name: string;
    in: string;
    description?: string;
    required?: boolean;
    schema?: Schema;
  }[];
  requestBody?: { description?: string; required?: boolean; content: { [media: string]: Media } };
  responses: { [status: string]: ApiResponse };
}

interface Api {
  info: { title: string; version?: string; description?: string };
  paths: { [path: string]: { [method: string]: Operation } };
}

export function Docs() {
  const [api, setApi] = useState<Api | null>(null);
  const [trouble, setTrouble] = useState("");
  const [model, setModel] = useState<Model | null>(null);
  const show = (found: Model | null) => {
    if (!found) return;
    const ofInputs: { [name: string]: Json } = {};
    for (const { name, examples: [first] = [] } of found.inputs)
      if (first !== undefined) ofInputs[name] = first;
    fill(found, found.model.examples?.[0] ?? ofInputs);
    setModel(found);
  };
  useEffect(() => {
    // Without the native dialect there is no description, and the page shows the API alone.
    void described().then(show, () => {});
    fetch("openapi.json")
      .then(async (response) => {
        const text = await response.text();
        if (response.ok) setApi(parseJson(text) as unknown as Api);
        else setTrouble(text);
      })
      .catch((error: Error) => setTrouble(error.message));
  }, []);
  useEffect(() => {
    if (api) document.title = `${api.info.title} · API`;
  }, [api]);
  if (!api) {
    return (
      <>
        <Header about={{}} title={t("reference")} />
        <main>
          {trouble ? <pre role="alert">{trouble}</pre> : <progress aria-label={t("loading")} />}
        </main>
      </>
    );
  }
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  return (
    <>
      <Header about={api.info} title={api.info.title} />
      <main class="docs">
        <p class="row">
          {api.paths["/"]?.get && <a href="./">{t("to_the_page")}</a>}
          <a href="openapi.json">openapi.json</a>
        </p>
        {model && (
          <section class="operation snippets">
            <h2>{t("code_in")}</h2>
            <Code model={model} />
          </section>
        )}
        {operations.map(({ path, method, operation }) => (
          <section key={`${method} ${path}`} class="operation">
            <h2 dir="ltr">
              <span class="method">{method.toUpperCase()}</span> <code>{path}</code>
            </h2>
            <Prose text={operation.summary} />
            <Prose text={operation.description} />
            <Parameters api={api} operation={operation} />
            {operation.requestBody && (
              <>
                <h3>{t("body")}</h3>
                <Contents api={api} content={operation.requestBody.content} />
              </>
            )}
            <h3>{t("answers")}</h3>
            {Object.entries(operation.responses).map(([status, response]) => (
              <Response key={status} api={api} status={status} response={resolved(api, response)} />
            ))}
          </section>
        ))}
      </main>
    </>
  );
}

function Prose({ text }: { text: string | undefined }) {
  return text ? <p dir="auto">{text}</p> : null;
}

function Parameters({ api, operation }: { api: Api; operation: Operation }) {
  const parameters = (operation.parameters ?? []).map((parameter) => resolved(api, parameter));
  if (parameters.length === 0) return null;
  return (
    <>
      <h3>{t("parameters")}</h3>
      <dl>
        {parameters.map(({ name, in: place, required, description, schema }) => (
          <div key={name}>
            <dt dir="ltr">
              <code>{name}</code>{" "}
              <small>
                {[place, inWords(api, schema), required && "required"].filter(Boolean).join(", ")}
              </small>
            </dt>
            <dd dir="auto">{description}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function Response({ api, status, response }: { api: Api; status: string; response: ApiResponse }) {
  return (
    <details>
      <summary dir="ltr">
        <code>{status}</code> {response.description}
      </summary>
      {response.content && <Contents api={api} content={response.content} />}
    </details>
  );
}

function Contents({ api, content }: { api: Api; content: { [media: string]: Media } }) {
  return (
    <>
      {Object.entries(content).map(([media, { schema, example }]) => (
        <div key={media} dir="ltr">
          <p>
            <code>{media}</code>
          </p>
          <Properties api={api} schema={schema} />
          {example !== undefined && <Tree value={example} />}
        </div>
      ))}
    </>
  );
}

function Properties({ api, schema }: { api: Api; schema: Schema | undefined }) {
  const whole = resolved(api, schema ?? {});
  const properties = Object.entries(whole.properties ?? {});
  if (properties.length === 0) {
    const words = inWords(api, whole);
    return words ? <p>{[words, whole.description].filter(Boolean).join(": ")}</p> : null;
  }
  return (
    <dl>
      {properties.map(([name, inner]) => {
        const property = resolved(api, inner);
        const isRequired = whole.required?.includes(name);
        return (
          <div key={name}>
            <dt>
              <code>{name}</code>{" "}
              <small>
                {[inWords(api, property), isRequired && "required"].filter(Boolean).join(", ")}
              </small>
            </dt>
            {property.description && <dd dir="auto">{property.description}</dd>}
          </div>
        );
      })}
    </dl>
  );
}

/** Describes a schema in a few words: its type and its limits. */
function inWords(api: Api, schema: Schema | undefined, depth = 3): string {
  if (!schema || depth === 0) return "";
  const { type, format, contentMediaType, items, minimum, maximum, ...more } = resolved(
    api,
    schema,
  );
  const variants = more.anyOf ?? more.oneOf;
  const words = [
    variants
      ?.map((one) => inWords(api, one, depth - 1))
      .filter(Boolean)
      .join(" | "),
    Array.isArray(type) ? type.join(" | ") : type,
    items && `of ${count(more)}${inWords(api, items, depth - 1) || "anything"}`,
    format,
    contentMediaType,
    more.enum && `one of ${more.enum.map(typed).join(", ")}`,
    more.const !== undefined && typed(more.const),
    minimum !== undefined && `from ${minimum}`,
    maximum !== undefined && `to ${maximum}`,
    more.default !== undefined && `default ${typed(more.default)}`,
  ];
  return words.filter(Boolean).join(" ");
}

/** Describes the limits on the number of items; the words for one item follow. */
function count({ minItems, maxItems }: Schema): string {
  if (maxItems !== undefined)
    return minItems ? `${minItems} to ${maxItems} ` : `up to ${maxItems} `;
  return minItems ? `${minItems} or more ` : "";
}

/** Returns the target of a reference within the document. */
function resolved<T extends { $ref?: string }>(api: Api, part: T): T {
  let found: unknown = part;
  for (let step = 0; step < 5; step += 1) {
    const reference = (found as { $ref?: string }).$ref;
    if (!reference) break;
    found =
      reference
        .slice(2)
        .split("/")
        .reduce<unknown>(
          (inner, key) => (inner as { [key: string]: unknown } | undefined)?.[key],
          api,
        ) ?? {};
  }
  return found as T;
}
