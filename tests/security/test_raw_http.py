"""HTTP/1.1 as attackers send it: a request that can be read in two ways is refused."""

import contextlib
import time

import pytest
from raw import connected, exchange, read_all, statuses

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
JSON = b'{"text": "x"}'
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(headers, body=JSON):
    return POST + headers + b"\r\n" + body


CODING = b"Transfer-Encoding: chunked\r\n"
CHUNKED = b"d\r\n" + JSON + b"\r\n0\r\n\r\n"


def chunked(*codings):
    """Returns a chunked body with these headers, and a request after it."""
    lines = [b"Transfer-Encoding: " + coding + b"\r\n" for coding in codings]
    return post(b"".join(lines), CHUNKED + HIDDEN)


def header(line, start=GET):
    return start + line + b"\r\n\r\n"


# name: (request, the status of the only answer; none for a connection that is just closed)
REFUSED = {
    "no Host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (header(b"Host: localhost"), 400),
    "another Host": (b"GET /healthz HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421),
    "a Host that is none": (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "two hosts": (b"GET http://evil.test/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "different lengths": (post(b"Content-Length: 13\r\nContent-Length: 12\r\n"), 400),
    "a signed length": (post(b"Content-Length: +13\r\n"), 400),
    "a length that is none": (post(b"Content-Length: 0x0d\r\n"), 400),
    "an unknown coding": (post(b"Transfer-Encoding: xchunked\r\n"), 400),
    "identity after chunked": (post(b"Transfer-Encoding: chunked, identity\r\n"), 400),
    "gzip before chunked": (chunked(b"gzip, chunked"), 501),
    "gzip and chunked in two headers": (chunked(b"gzip", b"chunked"), 501),
    "gzip with a parameter": (chunked(b"gzip;level=9, chunked"), 501),
    "identity before chunked": (chunked(b"identity, chunked"), 501),
    "an unknown coding before chunked": (chunked(b"xchunked, chunked"), 501),
    "a length before chunked": (post(b"Content-Length: 23\r\n" + CODING, CHUNKED + HIDDEN), 400),
    "a length after chunked": (post(CODING + b"content-length:23\r\n", CHUNKED + HIDDEN), 400),
    "a length that is none after chunked": (post(CODING + b"Content-Length: x\r\n", CHUNKED), 400),
    "chunked twice": (chunked(b"chunked, chunked"), 400),
    "chunked in two headers": (chunked(b"chunked", b"chunked"), 400),
    "chunked before gzip": (chunked(b"chunked, gzip"), 400),
    "chunked and gzip in two headers": (chunked(b"chunked", b"gzip"), 400),
    "an empty coding before chunked": (chunked(b"", b"chunked"), 400),
    "an empty coding after chunked": (chunked(b"chunked", b""), 400),
    "a comma before chunked": (chunked(b",chunked"), 400),
    "a comma after chunked": (chunked(b"chunked,"), 400),
    "chunked with a parameter": (chunked(b"chunked;x=1"), 400),
    "chunked in quotes": (chunked(b'"chunked"'), 400),
    "a vertical tab before chunked": (chunked(b"\x0bchunked"), 400),
    "a wide space before chunked": (chunked(b"\xa0chunked"), 400),
    "a folded coding": (chunked(b"\r\n chunked"), 400),
    "a folded list of codings": (chunked(b"gzip,\r\n\tchunked"), 400),
    "a space before the coding's colon": (
        post(b"Transfer-Encoding : chunked\r\n", CHUNKED + HIDDEN),
        400,
    ),
    "a coding in HTTP/1.0": (chunked(b"chunked").replace(b"HTTP/1.1", b"HTTP/1.0", 1), 400),
    "a space before the colon": (header(b"X-Header : x"), 400),
    "a folded header": (header(b"X-Header: a\r\n b"), 400),
    "a NUL in a header": (header(b"X-Header: a\0b"), 400),
    "no header": (header(b"nonsense"), 400),
    "101 headers": (GET + b"X-Header: x\r\n" * 100 + b"\r\n", 431),
    "a header of 300 KB": (header(b"X-Header: " + b"x" * 300_000), 431),
    "a header of 1 MB": (header(b"X-Header: " + b"x" * 1_000_000), 431),
    "an address of 9 KB": (GET.replace(b"healthz", b"x" * 9_000) + b"\r\n", 414),
    "an address of 60 KB": (GET.replace(b"healthz", b"x" * 60_000) + b"\r\n", 414),
    # The head as a whole is too long before the address has ended.
    "an address of 70 KB": (GET.replace(b"healthz", b"x" * 70_000) + b"\r\n", 431),
    "HTTP/1.1 after the preface of HTTP/2": (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
        None,
    ),
    "a preface of HTTP/2 that is cut off": (b"PRI * HTTP/2.0\r\n\r\n" + HIDDEN, None),
    "the preface of an older HTTP/2": (b"PRI * HTTP/1.1\r\n\r\n" + HIDDEN, None),
    "another protocol": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", None),
    "a gigantic chunk": (
        post(b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffffff\r\nx\r\n0\r\n\r\n"),
        400,
    ),
    "a negative chunk": (post(b"Transfer-Encoding: chunked\r\n", b"-1\r\nx\r\n0\r\n\r\n"), 400),
    "a chunk extension of 100 KB": (
        post(b"Transfer-Encoding: chunked\r\n", b"1;" + b"x" * 100_000 + b"\r\nx\r\n0\r\n\r\n"),
        400,
    ),
    "a compressed body": (post(b"Content-Encoding: gzip\r\nContent-Length: 13\r\n"), 415),
    "a body that is compressed in the end": (
        post(b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 13\r\n"),
        415,
    ),
    "an oversize body": (post(b"Content-Length: 5000000\r\nExpect: 100-continue\r\n", b""), 413),
    "CONNECT": (b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n", 404),
    "TRACE": (b"TRACE /infer HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_ambiguous_or_too_much_is_refused(server, name):
    request, status = REFUSED[name]
    answer = exchange(server, request)
    # Whatever follows on such a connection is not read as a request.
    seen = statuses(answer)
    if status is None:
        assert seen in ([], [400])
    else:
        assert seen == [status], answer
    assert b"hidden" not in answer


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "request_",
    [
        post(b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN),
        post(b"Transfer-Encoding: chunked\r\nContent-Length: 13\r\n", b"0\r\n\r\n" + HIDDEN),
    ],
)
def test_a_request_that_is_hidden_in_a_body_is_not_served(server, request_):
    answer = exchange(server, request_)
    assert statuses(answer) == [400], answer
    assert b"hidden" not in answer


def test_what_is_allowed_goes_through(server):
    for request in [
        GET + b"\r\n",
        GET + b"X-Header: x\r\n" * 99 + b"\r\n",
        b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        post(b"Content-Length: 13\r\n"),
        *(
            post(b"Transfer-Encoding:" + coding + b"\r\n", CHUNKED)
            for coding in [b" chunked", b"chunked", b"\tChunked \t", b"  CHUNKED  "]
        ),
    ]:
        answer = exchange(server, request)
        assert answer.split(b" ")[1] == b"200", (request[:80], answer[:200])


def test_a_length_and_a_coding_of_different_requests_are_not_mixed_up(server):
    sized, coded = post(b"Content-Length: 13\r\n"), post(CODING, CHUNKED)
    for requests in [[sized, coded, sized, coded], [coded, sized, coded]]:
        answer = exchange(server, b"".join(requests))
        assert statuses(answer) == [200] * len(requests)
        with connected(server) as connection:
            for request in requests:
                for piece in [request[:50], request[50:90], request[90:]]:
                    connection.sendall(piece)
                    time.sleep(0.02)
                received = b""
                while b"\r\n\r\n" not in received:
                    received += connection.recv(65536)
                assert statuses(received) == [200]


def test_a_head_is_as_long_as_the_docs_say(server):
    head = GET + b"X-Header: %s\r\n\r\n"
    room = (64 << 10) - len(head % b"")
    for length, status in [(room, 200), (room + 1, 431), (room + 10_000, 431), (110_000, 431)]:
        request = head % (b"x" * length)
        assert statuses(exchange(server, request)) == [status], length
        # The result is the same however the header is split.
        with connected(server) as connection:
            for at in range(0, len(request), 9_000):
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(request[at : at + 9_000])
                time.sleep(0.01)
            assert statuses(read_all(connection)) == [status], length


def test_pipelined_requests_get_responses_in_their_order(server):
    answer = exchange(server, b"".join(post(b"Content-Length: 13\r\n") for _ in range(20)))
    assert statuses(answer) == [200] * 20


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fetc/passwd",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%252e%252e/etc/passwd",
        "/..\\..\\etc\\passwd",
        "//etc/passwd",
        "/etc/passwd%00.png",
        "/infer/../etc/passwd",
    ],
)
def test_there_is_nothing_to_traverse(server, path):
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode()
    answer = exchange(server, request)
    assert statuses(answer) == [404], answer
    assert b"root:" not in answer
