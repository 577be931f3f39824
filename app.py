"""Footnote's server as a clone starts it: `python app.py [PATH…]` is `rag serve [PATH…]`.

python app.py             serve what has been ingested
python app.py PATH…       ingest these files and folders first
"""

from ingest.serve import serve
from rag.cli.runner import run

if __name__ == "__main__":
    run(serve)
