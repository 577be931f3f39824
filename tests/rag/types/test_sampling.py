"""Sampling parameters, laid one over the other."""

from __future__ import annotations

import pytest

from rag.settings import LanguageModelSettings
from rag.types.chat import UNSPECIFIED, Sampling


def test_nothing_is_set_at_first():
    assert UNSPECIFIED.given() == {}


def test_what_is_set_is_given_also_when_it_is_nothing():
    sampling = Sampling(temperature=0.0, seed=0, stop=(), top_k=5)
    assert sampling.given() == {"temperature": 0.0, "seed": 0, "stop": (), "top_k": 5}


def test_a_request_goes_before_the_defaults():
    defaults = Sampling(max_tokens=100, temperature=0.7, stop=("\n",))
    request = Sampling(temperature=0.0, seed=3)
    assert request.over(defaults) == Sampling(max_tokens=100, temperature=0.0, stop=("\n",), seed=3)
    assert UNSPECIFIED.over(defaults) == defaults
    assert defaults.over(UNSPECIFIED) == defaults


def test_every_parameter_is_a_setting():
    told = {
        "max_tokens": 16,
        "temperature": 1.0,
        "top_p": 0.5,
        "top_k": 4,
        "stop": ("a", "b"),
        "seed": 1,
        "repetition_penalty": 1.1,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
    }
    assert LanguageModelSettings(**told).sampling.given() == told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 1),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("top_p", 0),
        ("top_k", 0),
        ("stop", tuple("abcdefghijklmnopq")),
        ("repetition_penalty", 0),
        ("presence_penalty", 3),
        ("frequency_penalty", -3),
    ],
)
def test_a_value_that_no_model_takes_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        LanguageModelSettings(**{name: value})
