"""Reads a `config.yaml` as Truss does, and prints it as JSON."""

import sys
import tempfile
from pathlib import Path

from truss.base.truss_config import TrussConfig

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "config.yaml"
    path.write_text(sys.stdin.read())
    print(TrussConfig.from_yaml(path).model_dump_json())
