"""The chat is prepared before Chainlit is imported, which reads its environment and its files at that moment."""

import subprocess
import sys


def test_what_mounts_the_chat_does_not_import_chainlit_by_itself():
    code = "import sys, rag.ui.mount; sys.exit('chainlit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
