"""Whether a text is in another language than English, by the words of which languages are made."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]+")
_ENGLISH = frozenset(
    """
    a about after all also an and any are as at be been before but by can could did do does during each for from
    had has have how i if in into is it its may many me more most much must my no not of on or other our over shall
    should than that the their there these they this to under until upon was we were what when where which while
    who whom whose why will with would you your
    """.split()  # noqa: SIM905  (a list would be read by nobody)
)
# Words that texts in languages with Latin letters are full of, and English ones are not; those with other letters than
# English has tell by that.
_FOREIGN_OF = {
    "German": """
        auf aus bei das dem den der des ein eine einem einen einer es ist kann nach nicht oder sich sie sind und
        vom von wann warum welche welchem welchen welcher welches wer werden wie wieviel wird wo zu zum zur
    """,
    "French": """
        au aux avec ce cette combien comment dans du elle est et il la le les leur ou par pas pour pourquoi quand
        que quel quelle quelles quels qui sont sur un une
    """,
    "Spanish": """
        al como con cual cuales cuando cuantas cuantos de del donde el en fue las lo los para pero por quien
        quienes se ser su sus una uno y
    """,
    "Italian": """
        che chi come cosa da dai dal dalla degli dei della delle di e gli nel nella non perche quale quali quando
        quanti quanto sono
    """,
    "Portuguese": """
        ao com das dos foi mais mas na nas nos o onde os ou pela pelo qual quais quantos quem sao uma
    """,
    "Dutch": """
        bij dat een geen heeft het hoe hoeveel met naar niet om ook op te van voor waar waarom wanneer wat welk
        welke werd wie wordt zijn
    """,
    "Swedish, Danish, Norwegian": """
        att av det eller ett hur hvad hvem hvilke hvilken hvor hvorfor hva hvordan med och og om som til till vad
        var vem vilka vilken
    """,
    "Polish, Czech": """
        albo czy czym dla gdzie jak jaka jaki jakie jest kiedy kto na nie od po przez ten w z ze jsou kde kdo kdy
        ktere ktery neni pro pri v za
    """,
    "Romanian": """
        care ce cand cate cine cu din este intre pe pentru prin sau sunt unde
    """,
    "Turkish": """
        bir bu daha gibi hangi icin ile kac kadar kim mi nasil ne neden nedir nerede olan ve veya
    """,
    "Hungarian": """
        az egy es hany hogy hogyan hol ki melyek melyik mi miert mikor milyen nem volt
    """,
    "Finnish": """
        ei ja joka kuinka kuka milloin mika miksi mita missa oli ovat tai
    """,
    "Indonesian": """
        apa berapa dan dari dengan di itu kapan mana siapa untuk yang
    """,
}
_FOREIGN = frozenset(" ".join(_FOREIGN_OF.values()).split()) - _ENGLISH


def is_english(text: str) -> bool:
    """Whether nothing tells that the text is in another language: it has as many words of which English is made as
    words of which other languages are, or that are written with other letters. Keywords alone tell nothing."""
    words = [word.lower() for word in _WORD.findall(unicodedata.normalize("NFC", text))]
    foreign = sum(not word.isascii() or word in _FOREIGN for word in words)
    return foreign <= sum(word in _ENGLISH for word in words)
