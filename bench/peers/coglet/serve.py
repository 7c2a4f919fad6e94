"""Starts cog's server as `python -m cog.server.http` does, but on loopback only, and with its
files out of /tmp."""

import os

import coglet

coglet.server.serve(
    predictor_ref=f"model.py:{os.environ['WORK'].title()}",
    host="127.0.0.1",
    port=int(os.environ["PORT"]),
    output_temp_dir_base=os.environ["TMPDIR"],
)
