"""Which texts are in another language than English, as far as their words tell."""

from __future__ import annotations

import unicodedata

import pytest

from rag.text.languages import is_english


@pytest.mark.parametrize(
    "text",
    [
        "What is the notice period?",
        "When was Beyoncé born?",
        "Who founded Los Angeles, and what is Das Kapital about?",
        "notice period probation",  # keywords alone tell nothing
        "Revenue 1,204 1,318 (3.2)",
        "",
    ],
)
def test_english_or_nothing_that_tells(text):
    assert is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Wie lange ist die Frist?",
        "Kündigungsfrist Probezeit",
        "¿Cuántos puntos dejaron escapar?",
        "Combien de jours de repos ?",
        "Qual é o prazo?",
        "Hoe lang is de proeftijd?",
        "Jak czyścić filtr?",
        "Care este termenul?",
        "Bu cihaz nasıl temizlenir?",
        "Сколько дней отпуска?",
        "كم عدد الأيام؟",
        "何日ですか",
        unicodedata.normalize("NFD", "Kündigungsfrist für Büros"),
    ],
)
def test_other_languages(text):
    assert not is_english(text)
