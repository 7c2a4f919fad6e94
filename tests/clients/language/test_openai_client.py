"""OpenAI's clients for Python and for Node.js: every route, whole and as a stream.

Both clients get the same calls, and have the same answers.
"""

import language
import openai_chat
import openai_media
import openai_responses
import pytest

pytestmark = pytest.mark.clients

PROGRAMS = ["call_openai.py", "call_openai.mjs"]
CASES = [*openai_chat.CASES, *openai_responses.CASES, *openai_media.CASES]


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request):
    return request.param


@pytest.fixture(scope="module")
def answers(addresses, program):
    return language.call(program, [case.sent(addresses) for case in CASES])


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: str(CASES[number]))
def test_a_call(answers, number):
    assert language.steady(answers[number]) == CASES[number].expected


def test_the_chunks_of_an_answer_have_one_id(answers):
    streams = [one for one in answers if isinstance(one, list) and "choices" in one[-1]]
    ids = [{chunk["id"] for chunk in stream} for stream in streams]
    assert len(ids) >= 5
    assert all(len(own) == 1 for own in ids)
    assert len(set.union(*ids)) == len(ids)
