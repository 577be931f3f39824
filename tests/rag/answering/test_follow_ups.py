"""Which questions are searched together with the one before them, where no model can tell."""

import pytest

from rag.answering.follow_ups import leans_on_previous

FOLLOW_UPS = (
    "and for the Berlin office?",
    "What about weekends?",
    "Why not?",
    "From when?",
    "How do I return it?",
    "Is that per person?",
    "Who repairs them?",
    "When is she back?",
    "Und am Wochenende?",
    "Ab wann?",
    "Wer repariert das?",
    "Gibt es dafür ein Formular?",
    "Wie sieht es mit Aushilfen aus?",
    "Et le week-end ?",
    "Jusqu'à quand ?",
    "Qui répare cela ?",
    "Quand finit-elle ?",
    "¿Y los fines de semana?",
    "¿Para quién?",
    "¿Quién repara eso?",
)
ON_THEIR_OWN = (
    "Is there a bicycle shed?",
    "Is it permitted to smoke on the terrace?",
    "What happens to this year's bonus?",
    "If a shipment is late, who answers for it?",
    "Does the lease say what the tenant owes when he leaves?",
    "Which of those present voted against the budget of the association?",
    "Wie melden Sie einen Unfall?",
    "Gibt es einen Fahrradkeller?",
    "Ist es möglich, im Ausland zu arbeiten?",
    "Haftet der Mieter, wenn er auszieht?",
    "Y a-t-il un garage à vélos ?",
    "Est-il permis de fumer sur la terrasse ?",
    "Le bail dit-il ce que doit le locataire ?",
    "¿Hay un garaje para bicicletas?",
    "¿Responde el inquilino cuando él se va?",
    "¿Qué dice este contrato de la fianza?",
)


@pytest.mark.parametrize("question", FOLLOW_UPS)
def test_what_says_only_part_of_what_it_asks(question: str) -> None:
    assert leans_on_previous(question)


@pytest.mark.parametrize("question", ON_THEIR_OWN)
def test_what_stands_on_its_own(question: str) -> None:
    assert not leans_on_previous(question)
