"""`ai-integration healthcheck`, which asks the server of its container."""

import socket
import subprocess
import threading

import pytest
from support import BINARY, certificate, environment, eventually, free_port, run, serve

ECHO = """
    import ai_integration
    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            ai_integration.send_result(
                {"content-type": "text/plain", "data": inputs["text"], "success": True})
"""
SLOW = """
    import os, time
    import ai_integration
    while not os.path.exists(os.environ["GO"]):
        time.sleep(0.01)
"""


def check(*flags, **variables):
    """Returns the exit status of the health check, and its line."""
    done = run("healthcheck", *flags, command=[BINARY], **variables)
    assert done.stdout == b""
    return done.returncode, done.stderr.decode()


def port_of(server):
    return server.url.rsplit(":", 1)[1]


@pytest.mark.parametrize("host", [None, "127.0.0.1", "0.0.0.0", "127.0.0.2"])
def test_a_server_is_healthy_at_its_own_address(program, host):
    with serve(program(ECHO), HOST=host) as server:
        # A proxy is for requests to other machines.
        more = {"HOST": host, "MODE": "http", "http_proxy": "http://127.0.0.1:1"}
        for flags in [(), ("--ready",)]:
            assert check(*flags, PORT=port_of(server), **more) == (0, "")


def test_a_server_with_a_token_is_healthy(program):
    token = {"AI_INTEGRATION_TOKEN": "0123456789abcdef", "AI_INTEGRATION_HOSTS": "a.example.org"}
    with serve(program(ECHO), **token) as server:
        assert check("--ready", PORT=port_of(server), MODE="http", **token) == (0, "")


def test_a_server_with_tls_is_healthy(program, tmp_path):
    cert, key = certificate(tmp_path, "model.example.org", "DNS:model.example.org")
    tls = {"AI_INTEGRATION_TLS_CERT": cert, "AI_INTEGRATION_TLS_KEY": key}
    with serve(program(ECHO), ready=False, **tls) as server:
        port = port_of(server)
        eventually(lambda: check("--ready", PORT=port, MODE="http", **tls)[0] == 0, "it is ready")
        status, said = check(PORT=port, MODE="http")
        assert (status, said.count("\n")) == (1, 1)


def test_a_model_that_loads_is_alive_but_not_ready(program, tmp_path):
    go = tmp_path / "go"
    with serve(program(SLOW + ECHO), ready=False, GO=go) as server:
        port = port_of(server)
        assert check(PORT=port, MODE="http") == (0, "")
        status, said = check("--ready", PORT=port, MODE="http")
        assert status == 1
        assert said == (
            "unhealthy: http://127.0.0.1:%s/readyz answers with status 503: the model is being "
            "loaded\n" % port
        )
        go.write_text("")
        eventually(lambda: check("--ready", PORT=port, MODE="http")[0] == 0, "the model is ready")


def test_the_port_is_that_of_the_platform(program):
    port = free_port()
    variables = {"AIP_HTTP_PORT": port, "AIP_HEALTH_ROUTE": "/h", "AIP_PREDICT_ROUTE": "/p"}
    with serve(program(ECHO), MODE=None, PORT=None, **variables):
        assert check("--ready", **variables) == (0, "")


def test_nothing_listens():
    port = free_port()
    status, said = check(PORT=port, MODE="http")
    assert status == 1
    assert said.startswith("unhealthy: nothing listens on 127.0.0.1:%d: " % port)
    assert said.count("\n") == 1


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 500 Oops\r\n\r\n"])
def test_a_wrong_answer_is_unhealthy(answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def respond():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=respond)
        thread.start()
        status, said = check(PORT=listener.getsockname()[1], MODE="http")
        thread.join()
    assert status == 1
    assert said.startswith("unhealthy: http://127.0.0.1:")
    assert said.count("\n") == 1


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 2", b"x" * 100])
def test_a_server_that_is_silent_is_unhealthy_after_the_timeout(beginning):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections = []

        def respond():
            connections.append(listener.accept()[0])
            connections[0].sendall(beginning)

        thread = threading.Thread(target=respond)
        thread.start()
        try:
            status, said = check("--timeout", 1, PORT=listener.getsockname()[1], MODE="http")
        finally:
            thread.join()
            connections[0].close()
    assert status == 1
    assert "does not answer" in said


def test_settings_that_cannot_be_used_are_unhealthy():
    for variables in [
        {"PORT": "x"},
        {"AI_INTEGRATION_PLATFORM": "x"},
        {"SAGEMAKER_BATCH": "true", "K_SERVICE": "model"},
    ]:
        status, said = check(**{"MODE": "http", **variables})
        assert status == 1
        assert said.count("\n") == 1


def test_a_mode_without_a_port_is_alive_and_its_readiness_is_unknown():
    assert check(MODE="mcp") == (0, "")
    assert check("--ready", MODE="mcp") == (
        1,
        "unhealthy: MODE=mcp listens on no port, so nothing can be asked\n",
    )


def test_the_help_says_what_the_exit_status_is():
    done = subprocess.run(
        [BINARY, "healthcheck", "--help"], env=environment(), capture_output=True, check=True
    )
    assert b"--ready" in done.stdout
    assert b"--timeout" in done.stdout
