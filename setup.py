"""What pyproject.toml cannot say: the sample documents of `data/sample` go into the wheel, for `rag serve --sample`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SAMPLE = Path(__file__).parent / "data" / "sample"


class BuildWithSample(build_py):
    def run(self) -> None:
        super().run()
        if SAMPLE.is_dir() and not self.editable_mode:
            shutil.copytree(SAMPLE, Path(self.build_lib, "ingest", "sample"), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithSample})
