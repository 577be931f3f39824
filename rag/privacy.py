"""Keeps libraries from telling others that they are used."""

from __future__ import annotations

import sys


def silence_openvino() -> None:
    """To be called before OpenVINO is imported.

    From that moment it reports its use over the network and writes into the home folder, unless the package that does
    so is missing. Here it always is.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
