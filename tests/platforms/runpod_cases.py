"""The jobs that the worker of RunPod's SDK and ours run with the same results."""

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da63e4f80f00010501012718e3660000000049454e44ae426082"
)
# Inputs with the output.
CASES = [
    ({"kind": "text", "text": "hello"}, "HELLO"),
    (
        {"kind": "text", "text": 'gr\u00f6\u00dfe "\u2603\U0001f600"'},
        'GR\u00d6SSE "\u2603\U0001f600"',
    ),
    ({"kind": "json", "text": "\u2603"}, {"text": "\u2603", "list": [1, 2.5, None]}),
]
# Inputs with the parts of the output.
STREAMS = [
    ({"kind": "words", "text": "once upon a time"}, ["once", "upon", "a", "time"]),
    ({"kind": "values"}, [{"number": 0}, {"number": 1}, {"number": 2}]),
]
