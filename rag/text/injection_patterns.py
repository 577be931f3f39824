"""The turns of phrase by which text addresses a language model: English first, then other languages.

All see folded text (rag/text/injection.py): lower case, compatibility forms resolved, single spaces; those that may be
wrapped anywhere see line breaks as spaces. The weak ones are everyday words in a manual, too: one alone tells
nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Cue:
    """A pattern, and words of which a text must hold one to match it: looking for those costs far less."""

    words: tuple[str, ...]
    pattern: str

    def is_in(self, folded: str) -> bool:
        """Whether the folded text holds the phrase."""
        return any(word in folded for word in self.words) and self._compiled.search(folded) is not None

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)


def _cue(words: tuple[str, ...], *patterns: str) -> Cue:
    return Cue(words, "|".join(patterns))


_MODELS = (
    r"(?:all |any |the |every )?(?:ais?|llms?|(?:large )?language models?|(?:ai |virtual |digital )assistants?"
    r"|chat ?bots?|chatgpt|claude|gemini|automated (?:\w+ )?(?:analysis|screening|review|evaluation"
    r"|summari[sz]ation|processing) (?:software|systems?|tools?))\b"
)

# Headers that begin a line.
LINE_CUES = (
    _cue(
        ("#",),
        r"(?:^|\n)#{1,6} ?(?:system|instructions?|assistant|response) ?:",
    ),
    _cue(
        ("user", "human", "system"),
        r"(?:^|\n)(?:assistant|ai|chatbot) ?:[^\n]*\n(?:user|human|system) ?:",
        r"(?:^|\n)(?:user|human|system) ?:[^\n]*\n(?:assistant|ai|chatbot) ?:",
    ),
    _cue(
        ("system:", "system :"),
        (
            r"(?:^|\n)system ?: (?:you (?:are|must|will|should)|ignore|disregard|forget|focus|print"
            r"|say|respond|reply|output)\b"
        ),
    ),
)

CUES = (
    # control tokens of chat templates, borders that are none
    _cue(
        ("<|", "<s", "<e", "[inst", "[/inst", "[system_prompt"),
        r"<\|[^<>|\n]{1,40}\|>",
        r"<(?:start|end)_of_turn>",
        r"<</?sys>>",
        r"\[/?(?:inst|system_prompt)\]",
    ),
    _cue(
        ("[system", "[/system", "<system", "</system"),
        r"\[/?system\]",
        r"</?system[_ ](?:prompt|message|instructions?)>",
    ),
    _cue(
        ("of",),
        r"<(?:end|begin|start) of (?:the )?(?:session|document|context|prompt|conversation|instructions?)>",
        (
            r"\[(?:end|rest|start|begin(?:ning)?)[- _]of[- _](?:the[- _])?(?:session|document|context"
            r"|prompt|conversation|instructions?)\]"
        ),
    ),
    # English
    _cue(
        ("ignore", "disregard", "forget", "override", "bypass", "discard", "neglect"),
        (
            r"\b(?:ignore|disregard|forget|override|bypass|discard|neglect) (?:\w+ ){0,3}?(?:all|any"
            r"|every|your|previous|prior|earlier|preceding|former|foregoing|above|other|original|initial"
            r"|system) (?:\w+ ){0,4}?(?:instructions?|prompts?|directives?|guidelines|directions|commands"
            r"|orders|programming|training|constraints|restrictions)\b"
        ),
    ),
    _cue(
        ("ignore", "disregard", "forget"),
        (
            r"\b(?:ignore|disregard|forget) (?:\w+ ){0,2}?(?:instructions?|prompts?|everything|anything"
            r"|all (?:of )?(?:that|this|the|info\w*|text|content)) (?:\w+ ){0,3}?(?:above|before|previously"
            r"|except|you were (?:told|given)|you(?:'ve| have) been (?:told|given)|and (?:instead|only"
            r"|just))\b"
        ),
        (
            r"\b(?:ignore|disregard|forget)\b[^.!?\n]{1,80}\b(?:and|but) instead,? (?:\w+ )?(?:focus"
            r"|tell|respond|reply|answer|say|print|output|return|write|report)"
        ),
    ),
    _cue(
        ("ignore", "disregard"),
        r"\b(?:ignore|disregard) (?:\w+ ){1,3}(?:indicators|criteria|evidence|concerns)\b",
    ),
    _cue(
        ("instruction",),
        (
            r"\b(?:new|updated|hidden|secret|real) (?:system )?instructions? ?(?:for (?:you|the (?:ai"
            r"|assistant|model)))?:"
        ),
    ),
    _cue(
        ("prompt",),
        r"\b(?:system|hidden) prompt\b",
    ),
    _cue(
        (" your ",),
        (
            r"\b(?:reveal|print|show|repeat|output|disclose|leak) (?:me )?your (?:\w+ ){0,2}(?:prompt"
            r"|instructions?|rules)\b"
        ),
    ),
    _cue(
        ("you are", "you're"),
        (
            r"(?<!\bif )\byou(?: are|'re) (?:now )?(?:an? |the |no longer (?:an? )?)?(?:\w+ ){0,3}(?:ai|assistant"
            r"|chat ?bot|bot|language model|llm|dan|jailbroken|unrestricted)\b"
        ),
        r"\byou(?: are|'re) now an? ",
    ),
    _cue(
        ("from now on", "starting now"),
        r"\b(?:from now on|starting now),? (?:you (?:are|will)|respond|reply|answer|act)\b",
    ),
    _cue(
        (" as if you", " as though you"),
        r"\b(?:act|behave|respond|pretend) as (?:if|though) you (?:are|were) ",
    ),
    _cue(
        ("user",),
        (
            r"\b(?:do not|don't|never|without) (?:tell|telling|inform|informing|mention|mentioning"
            r"|reveal|revealing|disclose|disclosing|alert|alerting|warn|warning|show|let) (?:\w+ ){0,6}?(?:"
            r"to )?the (?:end )?user\b(?! interface)"
        ),
    ),
    _cue(
        ("ai ", "artificial intelligence"),
        (
            r"\b(?:ai|artificial intelligence) (?:language )?(?:assistant|model|agent|chat ?bot|reviewer"
            r"|summari[sz]er)s?[,:]? (?:(?:must|should|shall|is|are) (?:instructed|required|told|to)\b"
            r"|(?:reading|processing|summari[sz]ing|reviewing|evaluating|analy[sz]ing) (?:this|the (?:text"
            r"|document|page|content|above|following)))"
        ),
    ),
    _cue(
        ("as an ai",),
        r"\bas an ai(?: (?:language )?(?:model|assistant))?,? (?:you|i|it)\b",
    ),
    _cue(
        (" ai", "llm", "language model", "assistant", "bot", "gpt", "claude", "gemini", "automated"),
        (
            rf"\b(?:(?:note|notice|message|attention|instructions?|memo|hint) ?(?:to|for)"
            rf"|(?:attention|dear|hello|hi|hey),?) {_MODELS}"
        ),
        rf"\b(?:note|notice|message|attention|instructions?|memo|hint) ?[:,]? {_MODELS} ?[:!]",
        r"\bif you(?:'re| are) an? (?:\w+ )?(?:(?:ai|virtual|digital) assistant|ai|llm|language model|chat ?bot|bot)\b",
        r"\bautomated (?:\w+ )?(?:screening|scoring|evaluation) (?:systems?|software|tools?): ",
    ),
    _cue(
        ("visible",),
        r"\binvisible (?:to|from) (?:humans?|readers?|people)\b",
        r"\bvisible (?:only )?to (?:the )?(?:llms?|ai)\b",
    ),
    _cue(
        ("nothing else", "commentary"),
        (
            r"\b(?:(?:respond|reply|answer|say|print|output|return|write|report)|provide)\b[^.!?\n]{0,60}\b"
            r"(?:nothing else|without (?:any )?(?:explanation or )?commentary)\b"
        ),
    ),
    _cue(
        ("deviate",),
        r"\byou (?:may|must|can|should) not deviate\b",
    ),
    _cue(
        ("must", "also", "always"),
        (
            r"\b(?:must|also|always) (?:also |always )?(?:add|append|include|print|output|insert) (?:the fo"
            r"llowing|this) (?:extra |exact |additional )?(?:text|sentence|link|line|phrase)\b"
        ),
    ),
    # German
    _cue(
        ("anweisung", "instruktion", "befehl", "vorgabe", "prompt"),
        (
            r"\b(?:ignorier\w*|missacht\w*|vergiss|vergesst|vergessen sie|übergeh\w*) [^.!?\n]{0,50}(?:anwe"
            r"isung|instruktion|befehl|vorgabe|prompt)"
        ),
        r"\bsystemprompt",
    ),
    _cue(
        ("du bist", "sie sind", "als ki", "als eine ki"),
        r"\b(?:du bist|sie sind) (?:jetzt|nun|ab (?:jetzt|sofort)) ein",
        r"\bals (?:eine )?ki[- ]?(?:assistent|modell|sprachmodell)",
    ),
    _cue(
        ("nutzer",),
        (
            r"\b(?:sag\w*|teil\w*|verrat\w*|erwähn\w*|zeig\w*) [^.!?\n]{0,40}(?:dem|den|der) (?:be)?nutzer\w*"
            r" (?:nicht|nichts|niemals)"
        ),
    ),
    # French
    _cue(
        ("ignore", "oublie", "néglige"),
        r"\b(?:ignore[zr]?|oublie[zr]?|néglige[zr]?) [^.!?\n]{0,50}(?:instruction|consigne|directive|prompt)",
    ),
    _cue(
        ("tu es", "vous êtes", "en tant qu"),
        r"\b(?:tu es|vous êtes) (?:maintenant|désormais) (?:un|une|le|la|en) ",
        r"\ben tant qu'ia\b",
    ),
    _cue(
        ("utilisateur",),
        (
            r"\bne (?:dis|dites|révèle[zs]?|mentionne[zs]?|montre[zs]?) (?:rien |pas )[^.!?\n]{0,40}(?:à l'"
            r"|aux )utilisateur"
        ),
    ),
    # Spanish, Portuguese
    _cue(
        ("ignor", "olvid", "esqueç", "desconsider"),
        (
            r"\b(?:ignor[ae]n?|ignorar|olvid[ae]n?|olvidar|esqueç[ao]m?|desconsider[ae]m?) [^.!?\n]{0,50}(?:"
            r"instruccion|instruç|indicacion|directric|diretriz|órdenes|ordens|prompt)"
        ),
    ),
    _cue(
        ("ahora", "agora", " ia"),
        r"\b(?:ahora eres|agora (?:você é|tu és|és)|a partir de (?:ahora|agora),? (?:eres|você)) ",
        r"\bcomo (?:una |uma )?ia,? (?:debes|deve|você|tú)\b",
    ),
    _cue(
        ("usuario", "usuário"),
        (
            r"\b(?:no (?:le )?(?:digas|diga|menciones|mencione|reveles|revele)|não (?:diga|conte|mencione"
            r"|revele)) [^.!?\n]{0,40}(?:al?|ao|o) usu[aá]rio"
        ),
    ),
    # Italian, Dutch, Polish, Turkish
    _cue(
        ("ignor", "dimentica"),
        r"\b(?:ignor[ai]|ignorate|dimentica(?:te)?) [^.!?\n]{0,50}(?:istruzion|direttiv|prompt)",
    ),
    _cue(
        ("sei", "utente"),
        r"\b(?:ora sei|adesso sei|d'ora in poi sei) (?:un|una|il|la) ",
        r"\bnon dire [^.!?\n]{0,30}all'utente\b",
    ),
    _cue(
        ("negeer", "vergeet", "je bent"),
        r"\b(?:negeer|vergeet) [^.!?\n]{0,50}(?:instructie|opdracht|prompt)",
        r"\bje bent (?:nu|vanaf nu) een ",
    ),
    _cue(
        ("ignoruj", "zapomnij", "jesteś"),
        r"\b(?:zignoruj|ignoruj|zapomnij) [^.!?\n]{0,50}(?:instrukcj|polece|prompt)",
        r"\bjesteś teraz ",
    ),
    _cue(
        ("talimat", "komut", "yönerge", "artık sen"),
        r"(?:talimat|komut|yönerge)\w* (?:\w+ ){0,3}(?:yok ?say|görmezden gel|unut|dikkate alma)",
        r"\bartık sen bir ",
    ),
    # Russian, Ukrainian
    _cue(
        ("гнор", "забудь", "внимани"),
        (
            r"\b(?:игнорируй\w*|проигнорируй\w*|забудь\w*|ігноруй\w*|не обращай\w* внимани\w+ на) [^.!?\n]{"
            r"0,50}(?:инструкци|указани|команд|інструкці|вказівк|промпт)"
        ),
    ),
    _cue(
        ("теперь", "отныне", "тепер", "пользовател", "промпт"),
        r"\b(?:теперь ты|отныне ты|ты теперь|тепер ти) ",
        r"системн\w+ промпт",
        r"\bне (?:говори|сообщай|рассказывай)\w* [^.!?\n]{0,30}пользовател",
    ),
    # Chinese, Japanese, Korean
    _cue(
        ("忽", "视", "視", "忘", "不要"),
        r"(?:忽略|忽视|忽視|无视|無視|忘记|忘記|不要理会)[^。!?\n]{0,16}(?:指令|指示|提示|命令|说明|規則|规则)",
        r"不要告[诉訴](?:用户|用戶)",
    ),
    _cue(
        ("你", "系统", "系統"),
        r"你现在是",
        r"你現在是",
        r"从现在开始[,,]?你",
        r"從現在開始[,,]?你",
        r"系统提示词",
        r"系統提示詞",
    ),
    _cue(
        ("無視", "忘れ", "今から", "ユーザー", "システム"),
        r"(?:指示|命令|プロンプト|指令)[^。!?\n]{0,8}(?:無視|忘れ)",
        r"あなたは今から",
        r"ユーザーに[^。\n]{0,12}(?:言わない|伝えない|知らせない)",
        r"システムプロンプト",
    ),
    _cue(
        ("무시", "잊", "이제", "사용자", "시스템"),
        r"(?:지시|명령|프롬프트|지침)[^.!?\n]{0,12}(?:무시|잊)",
        r"(?:당신은|너는) 이제",
        r"사용자에게[^.\n]{0,12}말하지",
        r"시스템 프롬프트",
    ),
    # Arabic, Hindi
    _cue(
        ("تجاهل", "انس", "أنت الآن", "المستخدم"),
        r"(?:تجاهل|تجاهلي|انس) [^.!؟\n]{0,40}(?:التعليمات|تعليمات|الأوامر|التوجيهات)",
        r"أنت الآن (?:مساعد|نموذج|روبوت)",
        r"لا تخبر المستخدم",
    ),
    _cue(
        ("निर्देश", "आदेश", "अब "),
        r"(?:निर्देश|आदेश)\S* [^.!?।\n]{0,25}(?:अनदेखा|नज़रअंदाज़|नजरअंदाज|भूल)",
        r"अब (?:तुम|आप) एक ",
    ),
)

# Two different ones in a text tell as much as one of the others.
WEAK_CUES = (
    _cue(
        ("ask",),
        (
            r"\bif (?:the |a )?users? asks?\b[^.!?\n]{0,100}\b(?:tell (?:them|him|her|the user)|respond"
            r"|reply|answer|say|print|output|return|write|report)\b"
        ),
    ),
    _cue(
        ("only", "simply", "just", "exactly", "exclusively"),
        (
            r"\b(?:respond|reply|answer|say|print|output|return|write|report) (?:back )?(?:with )?(?:simply"
            r" |only |just |exactly |exclusively )+(?:with )?(?:the (?:following|word|words|phrase"
            r"""|text|sentence)\b|this\b|[\"“'])"""
        ),
        (
            r"\b(?:simply|only|just) (?:respond|reply|answer|say|print|output|return|write|report) (?:with "
            r""")?(?:exactly )?(?:the (?:following|word|words|phrase)\b|this\b|[\"“'])"""
        ),
        r"\b(?:focus|rely|concentrate) (?:only|exclusively|solely) on the (?:following|information|text) ",
    ),
    _cue(
        ("you are now", "you're now"),
        r"\byou(?: are|'re) now (?:the |in |going to |free )",
    ),
    _cue(
        ("assistant",),
        r"\bif you(?:'re| are) an? (?:\w+ )?assistant\b",
    ),
    _cue(
        (" ai", "llm", "language model", "assistant", "bot", "gpt", "claude", "gemini", "automated"),
        rf"\b(?:note|notice|message|attention|instructions?|memo|hint) ?[:,]? {_MODELS}",
    ),
)
