"""The prose of the repository is in plain English, with the words of its glossary.

A doc comment is a sentence with a subject, or starts with a verb in the third person.
"""

import re

import prose
import pytest

FRAGMENT = re.compile(
    r"(?:What|Whatever|Whether|How|Where|Why|When|Who|Whoever|Whose|Which)\b"
    r"|Patience with\b|(?:So|As) (?:many|much)\b"
)
ROW = re.compile(r"^\| ([a-z][a-z ]*) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)
GLOSSARY = "docs/architecture.md"


@pytest.fixture(scope="session", autouse=True)
def installed():
    """This suite reads the sources, and needs nothing that is installed."""


def glossary():
    page = (prose.REPOSITORY / GLOSSARY).read_text()
    return ROW.findall(page.split("\n## Vocabulary\n")[1].split("\n## ")[0])


def test_no_doc_comment_opens_with_a_fragment():
    found = [str(text) for text in prose.doc_comments() if FRAGMENT.match(text.text)]
    assert not found, "write a sentence with a subject:\n" + "\n".join(found)


def test_each_term_stands_once_in_the_glossary_with_its_meaning():
    terms = [term for term, _, _ in glossary()]
    assert len(terms) > 40
    assert sorted(terms) == sorted(set(terms))


def test_words_that_the_glossary_replaces_are_used_nowhere():
    phrases = [p for _, _, words in glossary() for p in re.findall(r'"([^"]+)"', words)]
    words = "|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in phrases)
    replaced = re.compile(r"\b(?:%s)(?:s|es)?\b" % words, re.IGNORECASE)
    texts = prose.doc_comments() + prose.pages() + prose.snapshots() + prose.log_texts()
    found = []
    for text in texts:
        body = ROW.sub("", text.text) if text.file == GLOSSARY else text.text
        for match in replaced.finditer(body):
            line = text.line + body.count("\n", 0, match.start())
            found.append("%s:%d: %s" % (text.file, line, match[0]))
    assert phrases
    assert not found, "use the glossary's word:\n" + "\n".join(found)


def test_each_term_of_the_glossary_is_used():
    texts = [text for text in prose.doc_comments() + prose.pages() if text.file != GLOSSARY]
    used = " ".join(" ".join(text.text for text in texts).split())
    # A Rust name such as `RawValue` has no space, and a plural may change the last letter.
    patterns = {term: r"\b" + term[:-1].replace(" ", " ?") for term, _, _ in glossary()}
    assert not [term for term in patterns if not re.search(patterns[term], used, re.IGNORECASE)]


@pytest.mark.parametrize("opening", ["What it does.", "Whether it can.", "So many bytes."])
def test_a_fragment_is_recognised(opening):
    assert FRAGMENT.match(opening)


@pytest.mark.parametrize("opening", ["Returns true if it can.", "The bytes of a file."])
def test_a_sentence_is_no_fragment(opening):
    assert not FRAGMENT.match(opening)
