"""A small proxy that passes requests on as hosted ones do, over TLS or not, chunk by chunk."""

import contextlib
import http.client
import http.server
import ssl
import threading

HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


@contextlib.contextmanager
def proxy(server, change, certificate=None):
    """Runs a proxy that passes requests on to `server`, and yields its port.

    `change(path, headers)` returns the new path, and headers that replace those of the request. If
    the path is `None`, the proxy responds with status 404.
    """
    host, port = server.url.split("//")[1].split(":")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, changed = change(self.path, self.headers)
            if path is None:
                self.send_error(404)
                return
            headers = {name.title(): value for name, value in self.headers.items()}
            headers.update(changed)
            upstream = http.client.HTTPConnection(host, int(port), timeout=30)
            with contextlib.closing(upstream):
                upstream.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
                for name, value in headers.items():
                    if name.lower() not in HOP_BY_HOP:
                        upstream.putheader(name, value)
                upstream.endheaders(body)
                self.pass_back(upstream.getresponse())

        def pass_back(self, answer):
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            while piece := answer.read1(65536):
                self.wfile.write(piece)

        do_GET = do_POST = do_OPTIONS = do_HEAD = handle_request

        def log_message(self, *arguments):
            pass

    front = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    front.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        front.socket = context.wrap_socket(front.socket, server_side=True)
    thread = threading.Thread(target=front.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield front.server_address[1]
    finally:
        front.shutdown()
        front.server_close()
        thread.join(5)
