"""Prints what the extras named in the first argument, with commas between them, require: extras.py postgres,ocr"""

import sys
import tomllib
from pathlib import Path

known = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
for name in filter(None, sys.argv[1].split(",")):
    print(*known[name], sep="\n")
