"""What a language model makes of what was found: the questions about the sample, answered as the chat answers them.

    python -m benchmarks.answers MODEL [--every 1]     MODEL: a GGUF file, or the address of a server (http://…/v1)

Prints how many answers' words were in the prompt, how many of these the model's answer has, how many of those have a
footnote on the right page, and how many of the questions that the sample does not answer were declined. docs/models.md
has the table. On a processor a small model takes some 10 seconds a question; `--every 2` asks every second one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from ingest.ingestor import Ingestor
from rag.evaluation.questions import Question, read_questions
from rag.evaluation.run import EvaluationRun, Outcome
from rag.operations.backend import open_backend
from rag.operations.services import open_index
from rag.settings import LanguageModelSettings, Settings, StorageSettings, load_settings
from rag.storage.connect import open_catalog

ROOT = Path(__file__).parent.parent


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args(arguments)
    is_address = options.model.startswith(("http://", "https://"))
    llm = {"provider": "openai", "base_url": options.model} if is_address else {"provider": "llama_cpp"}
    if not is_address:
        llm["model"] = options.model
    with tempfile.TemporaryDirectory() as folder:
        changes = {"storage": StorageSettings(dir=Path(folder) / "storage"), "llm": LanguageModelSettings(**llm)}
        settings = Settings(**{**dict(load_settings()), **changes})
        with open_index(settings) as index, Ingestor(settings, index) as ingestor:
            for _ in ingestor.add_paths([ROOT / "data" / "sample"], "default"):
                pass
        questions = sample_questions(Path(folder) / "questions.jsonl")[:: options.every]
        began = time.monotonic()
        with open_backend(settings) as backend, closing(open_catalog(settings.storage)) as catalog:
            run = EvaluationRun(backend, catalog, "default", settings.retrieval.min_relevance, with_answers=True)
            outcomes = list(track(run.outcomes(questions), "Asking", len(questions)))
        seconds = (time.monotonic() - began) / len(questions)
    Console().print(figures(Path(options.model).name, outcomes, seconds))
    return 0


def sample_questions(file: Path) -> tuple[Question, ...]:
    """The questions of the tests, written into `file` as `rag eval` reads them."""
    lines = (ROOT / "tests" / "sample_questions.jsonl").read_text(encoding="utf-8").splitlines()
    with file.open("w", encoding="utf-8") as out:
        for sample in map(json.loads, lines):
            row = {"question": sample["question"], "answerable": bool(sample["answer"])}
            if sample["answer"]:
                row |= {"answer": sample["answer"], "document": sample["source"], "page": sample["page_label"]}
            out.write(json.dumps({name: value for name, value in row.items() if value is not None}) + "\n")
    return read_questions(file).questions


def figures(model: str, outcomes: Sequence[Outcome], seconds: float) -> Table:
    """A row of docs/models.md."""
    answered = [outcome for outcome in outcomes if outcome.answer is not None]
    in_prompt = [outcome for outcome in answered if outcome.answer_in_context]
    right = [outcome for outcome in in_prompt if outcome.answer and outcome.answer.holds_answer]
    cited = [outcome for outcome in right if outcome.answer and outcome.answer.cites_page is not False]
    unanswerable = [outcome for outcome in answered if not outcome.question.is_answerable]
    declined = [outcome for outcome in unanswerable if outcome.answer and outcome.answer.refused]
    table = Table(
        "model", "in the prompt", "of these in the answer", "of those on the right page", "rightly declined", "s"
    )
    shares = ((right, in_prompt), (cited, right), (declined, unanswerable))
    cells = [f"{len(part)} of {len(whole)}" for part, whole in shares]
    table.add_row(model, str(len(in_prompt)), *cells, f"{seconds:.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
