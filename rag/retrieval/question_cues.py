"""What the words of a message tell of how to search for it: what a long one asks, and whether it asks for all of
something. In English, German, French and Spanish."""

from __future__ import annotations

import re

from rag.text.analysis import sentence_spans, terms

_LONG = 1_000  # characters: about what an embedding model reads
_MOST_ASKED = 600  # characters of a long message that are searched for
_ALL = re.compile(
    # list all …, all the …, which …s, how many …, who … most
    r"^\W*(?:please )?(?:list|enumerate)\b|\b(?:all|every) (?:the |our |my |your |their )?(?!of\b)[^\W\d_]+s\b"
    r"|\b(?:list|give|show|name) .{0,200}\b(?:all|every|each)\b"
    r"|\bwhich (?:of )?(?:[\w-]+ ){0,2}?(?!(?:is|was|does|has|this)\b)[^\W\d_]+(?<![sui])s\b|\bhow many\b"
    r"|\bwho \w+ (?:\w+ ){0,3}(?:most|least|highest|lowest|longest|shortest)\b"
    r"|^\W*(?:bitte )?(?:liste|nenne|zähle|zeige?) .*\b(?:alle|sämtliche|jede[nrs]?)\b"
    r"|\b(?:alle[nr]?|sämtliche[nr]?) \w+"
    r"|\bwelche [^\W\d_]+ (?:sind|[^\W\d_]+en)\b|\bwie ?viele\b|\bwer \w+ (?:\w+ ){0,3}(?:meisten?|wenigsten)\b"
    r"|\b(?:liste[rz]?|énumère[rz]?) (?:toute?s|tous|les|chaque)\b|\b(?:tous|toutes) les\b|\bquel(?:le)?s \w+"
    r"|\bcombien d|\bqui \w+ (?:\w+ ){0,3}le (?:plus|moins)\b"
    r"|\b(?:lista|enumera|muestra) (?:tod[oa]s|los|las|cada)\b|\btod[oa]s (?:los|las)\b|\b(?:qué|cuáles) \w+s\b"
    r"|\bcuánt[oa]s\b|\bquién \w+ (?:\w+ ){0,3}(?:más|menos)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"^[¿\W]{0,20}(?:(?:please|also|and|so|but|bitte|und|et|y|por favor|s’il vous plaît|s'il vous plaît)[, ]+)*(?:"
    # question words that a statement seldom begins with
    r"(?:what|which|who|whose|whom|where|why|how)(?: |['’]s)|when (?:is|are|was|were|do|does|did|can|must|will)\b"
    r"|(?:was|wer|wo|wann|warum|weshalb|wieso|wie|welche[rsmn]?|wieviele?) "
    r"|(?:quel(?:le)?s?|qui|où|quand|pourquoi|comment|combien|est-ce) "
    r"|(?:qué|cuál(?:es)?|quién(?:es)?|dónde|cuándo|cómo|cuánt[oa]s?) "
    # what somebody is told to do
    r"|(?:tell|give|show|list|find|compare|explain|summari[sz]e|describe|name|check|translate|let me know)\b"
    r"|(?:nenne|nennen|sag|sagen|zeig|zeige|zeigen|liste|finde|finden|vergleiche|vergleichen|erkläre|erklären"
    r"|fasse|fassen|beschreibe|prüfe|prüfen|übersetze)\b"
    r"|(?:dis|dites|donne|donnez|montre|montrez|énumère|énumérez|trouve|trouvez|compare|comparez|explique|expliquez"
    r"|résume|résumez|décris|vérifiez|traduis|traduisez)\b"
    r"|(?:di|diga|dime|dígame|da|dame|muestra|muéstrame|enumera|busca|compara|explica|explícame|resume|describe"
    r"|comprueba|traduce)\b)",
    re.IGNORECASE,
)


_TOPIC = re.compile(
    r"\s(?:about|on|regarding|concerning|covering|mention(?:s|ing)?|dealing with|deals? with|related to|über|zu|zum|zur"
    r"|betreffend|sur|concernant|à propos d[eu]|au sujet d[eu]|sobre|acerca del?) "
    # "what can I ask you about with these?", "ein Überblick über alle"
    r"(?!(?:what|which|whom|with|these|those|all|everything|alle[sn]?|welche\w*|den|was|quoi|quel\w*|tout|qué|cuáles"
    r"|todo)\b)(?P<topic>[^?.!,;:\n]{2,200})",
    re.IGNORECASE,
)
_TOPIC_END = re.compile(  # where the documents are said to be, and what they are said to be beside it
    r" (?:(?:or|oder|ou|o) .*"
    r"|(?:stored|saved|uploaded|here|there|please|hochgeladen|gespeichert|da|vorhanden|hier|bitte|ici|aquí)\b"
    r"|(?:in|among|within|under|im|in|unter|dans|parmi|en|entre) (?:here|there|(?:the|my|our|your|de[rnm]|meine\w*"
    r"|deine\w*|unsere\w*|mes|tes|vos|nos|les?|la|mis|tus|los?|las?) \w+))",
    re.IGNORECASE,
)
_DOCUMENT_WORDS = frozenset(
    terms("file files document documents folder library record records hand board it this that")
)
_QUESTION_MARK = re.compile(r"[?？]\W{0,9}\Z")  # of a sentence's end


def asking_part(message: str) -> str:
    """What a long message asks: its sentences that ask, the last ones where they are many; its last paragraph where
    none does. A short one as it is."""
    if len(message) <= _LONG:
        return message
    sentences = [message[start:end] for start, end in sentence_spans(message)]
    asking = [sentence for sentence in sentences if _ASKS.search(sentence) or _QUESTION_MARK.search(sentence[-10:])]
    if not asking:
        last = message.rstrip().rsplit("\n\n", 1)[-1]
        return last[-_MOST_ASKED:]
    kept: list[str] = []
    for sentence in reversed(asking):
        if kept and len(" ".join([sentence, *kept])) > _MOST_ASKED:
            break
        kept.insert(0, sentence[-_MOST_ASKED:])
    return " ".join(kept)


def topic_asked_for(message: str) -> str | None:
    """What documents are asked for that are about it: "the fire drill" of "is there a document about the fire drill
    among the files?"."""
    found = _TOPIC.search(message)
    topic = _TOPIC_END.split(found["topic"], maxsplit=1)[0].strip() if found else ""
    return topic if any(term not in _DOCUMENT_WORDS for term in terms(topic)) else None


def asks_for_all(question: str) -> bool:
    """Whether the question is for all of something: to list or to count them, or which of them are so, or most so."""
    return bool(_ALL.search(question))
