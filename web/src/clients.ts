/** Writes the request as code for the clients of the other protocols that the server has. */

import { type Input, type Model, typed } from "./model";
import { type Pair, quoted, valueOf } from "./python";
import { shell, textOf } from "./values";

export interface Call {
  model: Model;
  /** The folder of the server's addresses. */
  folder: string;
  pairs: Pair[];
}

/** The call of a client's method: its name, its arguments, and the line that uses the answer. */
type Method = [name: string, args: string, use: string];
type Methods = { [task: string]: (request: Request) => Method };

interface Client {
  dialect: string;
  /** The methods by task, if the client needs one. */
  methods?: Methods;
  write: (request: Request, method: Method) => string;
}

/** Returns the names of the clients that can use the model. */
export const clientsOf = (model: Model) =>
  Object.keys(CLIENTS).filter((name) => {
    const { dialect, methods } = CLIENTS[name] as Client;
    return model.dialects.includes(dialect) && (!methods || methodOf(model, methods));
  });

/** Writes the code for a client. */
export function forClient(name: string, call: Call): string {
  const { methods = {}, write } = CLIENTS[name] as Client;
  const request = requestOf(call);
  return write(request, methodOf(call.model, methods)?.(request) ?? ["", "", ""]);
}

const methodOf = ({ tasks }: Model, methods: Methods) =>
  tasks.map((task) => methods[task]).find((method) => method);

type Request = ReturnType<typeof requestOf>;

/** Takes a request apart: its values are Python code. */
function requestOf({ model, folder, pairs }: Call) {
  const named = new Map(model.inputs.map((input) => [input.name, input]));
  const isText = ({ name, shape, list }: Input) =>
    shape.kind === "text" && !list && name !== SYSTEM;
  const texts = model.inputs.filter(isText);
  const main = texts.find(({ required }) => required) ?? texts[0];
  const given = new Map<string, (string | File)[]>();
  const all = new Map<string, (string | File)[]>();
  for (const [name, value] of pairs) {
    all.set(name, [...(all.get(name) ?? []), value]);
    const input = named.get(name);
    const isUsual = input?.default !== undefined && textOf(input, input.default) === value;
    if (input === main || !isUsual) given.set(name, [...(given.get(name) ?? []), value]);
  }
  const written = (name = "") =>
    given.has(name) ? valueOf(named.get(name), given.get(name) ?? []) : undefined;
  const own = [main?.name, SYSTEM, "history", "messages"];
  const options = [...given].filter(
    ([name, [value]]) => !own.includes(name) && !(value instanceof File),
  );
  const file = pairs.map(([, value]) => value).find((value) => value instanceof File);
  return {
    model,
    folder,
    /** The values of each input, as they are sent. */
    all,
    id: quoted(model.model_id),
    text: written(main?.name) ?? quoted("Hello"),
    system: written(SYSTEM),
    file,
    path: `Path(${quoted(file?.name ?? "FILE")})`,
    media: file?.type || "image/png",
    messages: written("messages"),
    history: written("history"),
    /** The inputs for which clients have no argument of their own. */
    options: options.map(([name]) => [name, written(name)] as const),
    token: model.needs_token ? `os.environ["TOKEN"]` : quoted("none"),
  };
}

const SYSTEM = "system";
const MOST = "max_tokens";
const PRINT = "print(answer)";

/** Writes the messages of a conversation. `picture` writes the part for a picture. */
function messagesOf(request: Request, picture: Picture, first = "") {
  const { text, file, path, messages, history, media } = request;
  if (messages) return messages;
  const data = `base64.b64encode(${path}.read_bytes()).decode()`;
  const parts = `[{"type": "text", "text": ${text}}, ${picture(media, data)}]`;
  const said = `{"role": "user", "content": ${file ? parts : text}}`;
  return `[${first}${history ? `*${history}, ` : ""}${said}]`;
}

type Picture = (media: string, data: string) => string;

const ofOpenAi: Picture = (media, data) =>
  `{"type": "image_url", "image_url": {"url": "data:${media};base64," + ${data}}}`;
const ofAnthropic: Picture = (media, data) =>
  `{"type": "image", "source": {"type": "base64", "media_type": "${media}", "data": ${data}}}`;

function chat(request: Request): string {
  const { system } = request;
  return messagesOf(request, ofOpenAi, system && `{"role": "system", "content": ${system}}, `);
}

/** Returns true if the model needs a file of this kind. */
const needs = ({ model }: Request, media: string) =>
  model.inputs.some(
    ({ shape, required }) => required && shape.kind === "blob" && shape.media.startsWith(media),
  );

const MESSAGE = "print(answer.choices[0].message.content)";
const PICTURE = `Path("picture").write_bytes(base64.b64decode(answer.data[0].b64_json))`;

const OPENAI: Methods = {
  chat: (request) => ["chat.completions.create", `messages=${chat(request)}`, MESSAGE],
  completion: ({ text }) => [
    "completions.create",
    `prompt=${text}`,
    "print(answer.choices[0].text)",
  ],
  embedding: ({ text }) => [
    "embeddings.create",
    `input=${text}`,
    "print(answer.data[0].embedding)",
  ],
  transcription: ({ path }) => [
    "audio.transcriptions.create",
    `file=${path}`,
    "print(answer.text)",
  ],
  speech: ({ text }) => [
    "audio.speech.create",
    `input=${text}, voice="alloy"`,
    `answer.write_to_file("speech")`,
  ],
  image: ({ text, file, path }) =>
    file
      ? ["images.edit", `image=${path}, prompt=${text}`, PICTURE]
      : ["images.generate", `prompt=${text}`, PICTURE],
};

const ANTHROPIC: Methods = {
  chat: (request) => [
    "messages.create",
    `messages=${messagesOf(request, ofAnthropic)}`,
    "print(answer.content[0].text)",
  ],
};

const HUGGING_FACE: Methods = {
  chat: (request) => ["chat_completion", filled(chat(request), extra(request)), MESSAGE],
  completion: ({ text }) => ["text_generation", text, PRINT],
  text: ({ text }) => ["text_generation", text, PRINT],
  embedding: ({ text }) => ["feature_extraction", text, PRINT],
  classification: (request) => {
    if (needs(request, "image/")) return ["image_classification", request.path, PRINT];
    if (needs(request, "audio/")) return ["audio_classification", request.path, PRINT];
    return ["text_classification", request.text, PRINT];
  },
  detection: ({ path }) => ["object_detection", path, PRINT],
  segmentation: ({ path }) => ["image_segmentation", path, PRINT],
  transcription: ({ path }) => ["automatic_speech_recognition", path, "print(answer.text)"],
  speech: ({ text }) => ["text_to_speech", text, `Path("speech").write_bytes(answer)`],
  image: ({ text, file, path }) =>
    file
      ? ["image_to_image", `${path}, prompt=${text}`, `answer.save("picture.png")`]
      : ["text_to_image", text, `answer.save("picture.png")`],
};

/** Writes the lines that make a client and call its method. */
const called = (client: string, [name, args, use]: Method) => [
  `client = ${client}`,
  `answer = client.${name}(${args})`,
  use,
];

/** Writes a program with the imports that its lines need. */
function program(packages: string, imported: string, lines: string[]): string {
  const code = lines.join("\n");
  const imports = [
    code.includes("base64.") && "import base64",
    code.includes("os.environ") && "import os",
    code.includes("Path(") && "from pathlib import Path",
  ].filter(Boolean);
  if (imports.length > 0) imports.push("");
  return [`# pip install ${packages}`, ...imports, imported, "", code].join("\n");
}

/** Adds arguments, each on a line of its own. */
const filled = (...args: (string | false | undefined)[]) =>
  `\n${args
    .filter(Boolean)
    .map((one) => `    ${one},\n`)
    .join("")}`;

/** Writes the inputs for which a client has no argument. */
function extra({ options }: Request, except = "") {
  const items = options.filter(([name]) => name !== except);
  const written = items.map(([name, value]) => `${quoted(name)}: ${value}`);
  return items.length > 0 && `extra_body={${written.join(", ")}}`;
}

/** Writes a program for Triton's client: each input is a tensor of texts or of files. */
function triton({ model, folder, all }: Request, isGrpc: boolean): string {
  const inputs = [...all].map(([name, values]) => {
    const written = values.map((value) =>
      value instanceof File ? `Path(${quoted(value.name)}).read_bytes()` : quoted(value),
    );
    return `${quoted(name)}: [${written.join(", ")}]`;
  });
  const { host, pathname, port, protocol } = new URL(folder);
  const isTls = protocol === "https:";
  const at = port ? host : `${host}:${isTls ? 443 : 80}`;
  const address = quoted(isGrpc ? at : at + pathname.replace(/\/$/, ""));
  const token = model.needs_token && `headers={"authorization": "Bearer " + os.environ["TOKEN"]}`;
  const client = `InferenceServerClient(${address}${isTls ? ", ssl=True" : ""})`;
  return program(
    `"tritonclient[${isGrpc ? "grpc" : "http"}]"`,
    `import numpy\nfrom tritonclient.${isGrpc ? "grpc" : "http"} import InferenceServerClient, InferInput`,
    [
      `inputs = {${inputs.join(", ")}}`,
      "tensors = []",
      "for name, values in inputs.items():",
      `    tensors.append(InferInput(name, [len(values)], "BYTES"))`,
      "    tensors[-1].set_data_from_numpy(numpy.array(values, dtype=object))",
      `client = ${client}`,
      `answer = client.infer(${[quoted(model.model_id), "tensors", token].filter(Boolean).join(", ")})`,
      `print(answer.as_numpy("output")[0])`,
    ],
  );
}

/** Writes a command for KServe's V1 protocol. */
function kserve({ model, folder, all }: Request): string {
  const files: string[] = [];
  const written = [...all].map(([name, values]): [string, unknown] => {
    const items = values.map((value) =>
      value instanceof File ? { b64: `FILE${files.push(value.name) - 1}` } : value,
    );
    const isList = model.inputs.find((input) => input.name === name)?.list;
    return [name, isList ? items : items[0]];
  });
  const body = shell(JSON.stringify({ instances: [Object.fromEntries(written)] }));
  const withFiles = body.replace(
    /"b64":"FILE(\d+)"/g,
    (_, index) => `"b64":"'"$(base64 <${shell(files[Number(index)] ?? "")} | tr -d '\\n')"'"`,
  );
  return [
    `curl ${shell(`${folder}v1/models/${encodeURIComponent(model.model_id)}:predict`)}`,
    model.needs_token && `-H "Authorization: Bearer $TOKEN"`,
    `--json ${withFiles}`,
  ]
    .filter(Boolean)
    .join(" \\\n  ");
}

const CLIENTS: { [name: string]: Client } = {
  OpenAI: {
    dialect: "openai",
    methods: OPENAI,
    write: (request, [name, args, use]) =>
      program(
        "openai",
        "from openai import OpenAI",
        called(`OpenAI(base_url=${quoted(`${request.folder}v1`)}, api_key=${request.token})`, [
          name,
          filled(`model=${request.id}`, args, extra(request)),
          use,
        ]),
      ),
  },
  Anthropic: {
    dialect: "anthropic",
    methods: ANTHROPIC,
    write: (request, [name, args, use]) => {
      const { options, system, model, id, folder, token } = request;
      const input = model.inputs.find(({ name }) => name === MOST);
      // The client wants a number even if the model has no such input.
      const usual = typed(input?.default ?? input?.max) || 1024;
      const most = options.find(([name]) => name === MOST)?.[1] ?? usual;
      return program(
        "anthropic",
        "from anthropic import Anthropic",
        called(`Anthropic(base_url=${quoted(folder)}, api_key=${token})`, [
          name,
          filled(
            `model=${id}`,
            `max_tokens=${most}`,
            system && `system=${system}`,
            args,
            extra(request, MOST),
          ),
          use,
        ]),
      );
    },
  },
  "Hugging Face": {
    dialect: "huggingface",
    methods: HUGGING_FACE,
    write: ({ model, folder, token }, method) => {
      const key = model.needs_token ? `, token=${token}` : "";
      return program(
        "huggingface_hub",
        "from huggingface_hub import InferenceClient",
        called(`InferenceClient(model=${quoted(folder)}${key})`, method),
      );
    },
  },
  MCP: {
    dialect: "mcp",
    write: ({ model, folder }) => {
      const headers = model.needs_token && { headers: { Authorization: "Bearer ${TOKEN}" } };
      const server = { type: "http", url: `${folder}mcp`, ...headers };
      return JSON.stringify({ mcpServers: { [model.model_id]: server } }, null, 2);
    },
  },
  Triton: { dialect: "oip", write: (request) => triton(request, false) },
  gRPC: { dialect: "grpc", write: (request) => triton(request, true) },
  KServe: { dialect: "kserve", write: kserve },
};
