"""Streams that fail, clients that leave or try again, and many streams at once."""

import itertools

import language
import pytest
import support

pytestmark = pytest.mark.clients

OPENAI = ["call_openai.py", "call_openai.mjs"]
CHAT, MESSAGES = "chat.completions.create", "messages.create"
# The programs, with the method for a chat.
CLIENTS = [("call_openai.py", CHAT), ("call_openai.mjs", CHAT), ("call_anthropic.py", MESSAGES)]
# The other methods that stream a text, with the member for it.
TEXTS = {"completions.create": "prompt", "responses.create": "input"}
OTHERS = [(program, method) for program in OPENAI for method in TEXTS]
AT_ONCE = 16


def asking(address, method, task, **more):
    arguments = {"model": "any", "stream": True}
    if method in TEXTS:
        arguments[TEXTS[method]] = task
    else:
        arguments = {**arguments, "messages": [{"role": "user", "content": task}]}
        arguments["max_tokens"] = 99
    return {"address": address, "method": method, "arguments": arguments, **more}


def words(chunks):
    """The pieces of text in a stream of any of the methods."""
    return [text for text in map(text_of, chunks) if text]


def text_of(chunk):
    if "choices" in chunk:
        choice = chunk["choices"][0]
        return choice["delta"].get("content") if "delta" in choice else choice["text"]
    delta = chunk.get("delta")
    return delta.get("text") if isinstance(delta, dict) else delta


@pytest.mark.parametrize(("program", "method"), [*CLIENTS, *OTHERS])
def test_a_failure_in_the_middle_of_a_stream_is_raised(program, method):
    with language.served("chat") as server:
        place = language.address(server)
        tasks = ["fail late", "crash late", "Hello"]
        failed, crashed, after = language.call(
            program, [asking(place, method, task) for task in tasks]
        )
    assert words(failed["chunks"]) == words(crashed["chunks"]) == ["so ", "it "]
    is_openai = method != MESSAGES
    raised = ("APIError", None) if is_openai else ("APIStatusError", 200)
    for answer, code, told in [
        (failed, "model_failed", "out of words"),
        (crashed, "model_crashed", "3"),
    ]:
        assert (answer["raised"], answer["status"] or None) == raised
        if is_openai:
            assert (answer["error"]["type"], answer["error"]["code"]) == ("server_error", code)
            assert told in answer["error"]["message"]
        else:
            assert answer["error"]["error"]["type"] == "api_error"
            assert told in answer["error"]["error"]["message"]
    # The model has been started again.
    assert "".join(words(after)) == "You said: Hello"


@pytest.mark.parametrize(("program", "method"), CLIENTS)
def test_a_client_that_leaves_a_stream_stops_the_model(addresses, program, method):
    with language.served("chat") as server:
        place = language.address(server)
        # The first chunks that have no text are the role, or the beginning of a message.
        before = 2 if method == CHAT else 3
        (chunks,) = language.call(program, [asking(place, method, "wait here", stop_after=before)])
        assert words(chunks) == ["so "]
        server.wait_for_output("wait here ends")


@pytest.mark.parametrize("program", OPENAI)
def test_streams_at_once_take_turns_and_stay_whole(addresses, program):
    call = asking(addresses["chat"], CHAT, "count up", together=AT_ONCE)
    (seen,) = language.call(program, [call])
    texts = {number: [] for number in range(AT_ONCE)}
    for number, text in seen:
        texts[number].append(text)
    for chunks in texts.values():
        # A chunk of the answer may have several of the model's.
        assert "".join(chunks) == "".join("%d " % n for n in range(20)) + "of count up"
    turns = [number for number, _ in itertools.groupby(seen, key=lambda chunk: chunk[0])]
    assert len(turns) > AT_ONCE


@pytest.mark.parametrize(("program", "method"), CLIENTS)
def test_a_client_tries_again_when_the_queue_is_full(program, method):
    with language.full("chat") as (server, leave):
        call = asking(language.address(server), method, "Hello", max_retries=2)
        answer = support.in_background(language.call, program, [call])
        refused = r'ai_integration_http_requests_total\{route="/v1/[a-z/]+",status="503"\} [1-9]'
        support.eventually(lambda: language.has(server, refused), "the client is refused")
        leave()
        (chunks,) = answer()
    assert "".join(words(chunks)) == "You said: Hello"
