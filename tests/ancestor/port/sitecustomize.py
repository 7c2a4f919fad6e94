"""Makes 1.0.16 listen on `PORT` of loopback. By itself it listens on port 5000 of every address."""

import os

if os.environ.get("MODE") == "http":
    import flask

    run = flask.Flask.run

    def run_on_port(application, **more):
        print("would listen on " + more["host"], flush=True)
        run(application, **dict(more, host="127.0.0.1", port=int(os.environ["PORT"])))

    flask.Flask.run = run_on_port
