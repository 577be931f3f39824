"""Tasks that a chat client has of its own: a title for a conversation, its tags, questions to go on with, searches.

Open WebUI, LibreChat, n8n and others send them as if the user had, with the conversation quoted. They are the language
model's alone: there is nothing in the documents to find for them.
"""

from __future__ import annotations

import re

_LONGEST_INSTRUCTION = 1_500  # characters before the quoted conversation
_HEADED = re.compile(r"\s{0,9}#{1,3} ?(?:Task|Instructions?)\b", re.IGNORECASE)
_QUOTED = re.compile(r"<(?:chat_history|conversation|messages)>", re.IGNORECASE)
_TURN = re.compile(
    r"^[ \t>*-]{0,9}(?:(user|human|utilisateur|benutzer|nutzer|usuario)"
    r"|assistant|ai|bot|assistante|assistent|asistente)\**[ \t\u00a0]?:",
    re.IGNORECASE | re.MULTILINE,
)
# What is asked for, in English, German, French, Spanish, without accents where these may be left out.
_WANTED = re.compile(
    r"\b(?:titles?|titel|titres?|t[ií]tulos?|tags?|schlagw[oö]rter|[eé]tiquettes?|etiquetas?|keywords?|stichw[oö]rter"
    r"|follow[- ]?ups?|folgefragen|anschlussfragen|questions de (?:suivi|relance)|preguntas de seguimiento"
    r"|(?:search )?quer(?:y|ies)|such(?:an|ab)fragen?|requ[eê]tes?(?: de recherche)?|consultas(?: de b[uú]squeda)?)\b",
    re.IGNORECASE,
)
_MADE = re.compile(
    r"\b(?:generate|write|create|provide|give|suggest|propose|come up with|return|produce|name"
    r"|erstelle|erzeuge|generiere|schreibe?|formuliere|gib|schlage?|nenne|finde"
    r"|g[eé]n[eé]re[zr]?|[eé]cri[sv](?:ez)?|propose[zr]?|donne[zr]?|r[eé]dige[zr]?|cr[eé]e[zr]?|sugg[eè]re[zr]?|trouve[zr]?"
    r"|genera|escribe|crea|prop[oó]n|sugiere|da|redacta)\b",
    re.IGNORECASE,
)
_CONVERSATION = re.compile(
    r"\b(?:conversation|chat|dialog(?:ue)?|transcript|discussion|[eé]change|gespr[aä]ch|unterhaltung|conversaci[oó]n"
    r"|di[aá]logo|users?|utilisateur|benutzers?|nutzers?|usuario)\b",
    re.IGNORECASE,
)


def is_client_task(message: str) -> bool:
    """Whether a client, not its user, asks this of the model: an instruction, then the conversation that it is about.

    A user who quotes a conversation and asks something of it does not ask for a title, tags or searches.
    """
    quoted = _QUOTED.search(message)
    turns = list(_TURN.finditer(message[: 2 * _LONGEST_INSTRUCTION]))
    if _HEADED.match(message):
        return quoted is not None or bool(turns)
    if not turns or not any(turn[1] for turn in turns):
        return False
    instruction = message[: min(turns[0].start(), quoted.start() if quoted else len(message))]
    has_all = all(part.search(instruction) for part in (_WANTED, _MADE, _CONVERSATION))
    return has_all and len(instruction) <= _LONGEST_INSTRUCTION
