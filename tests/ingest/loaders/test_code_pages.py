"""Short texts in national code pages: those a general guess takes for others, and those they must not be taken for."""

from __future__ import annotations

import pytest

from ingest.loaders.code_pages import code_page_of


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("euc_jp", "機械は毎週月曜日に点検します。"),
        ("euc_jp", "カタログをごらんください"),
        ("cp874", "โปรดปิดประตูทุกครั้งหลังใช้งาน"),
        ("cp874", "เครื่องนี้ต้องตรวจทุกสัปดาห์"),
        ("cp1255", "המפתח נמצא אצל השוער עד הערב. נא להחזיר אותו בזמן."),
        ("cp1254", "Anahtar akşama kadar kapıcıda kalır; lütfen zamanında geri getiriniz."),
        ("cp1257", "Raktas iki vakaro yra pas sargą, prašome jį grąžinti laiku, ačiū už supratimą. Ėjome į šokius."),
        ("cp1257", "Atslēga līdz vakaram ir pie sarga, lūdzu, atdodiet to laikā. Šī māja ir mūsu."),
    ],
)
def test_a_language_is_told_by_what_only_it_writes(encoding, text):
    assert code_page_of(text.encode(encoding)) == encoding


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Þetta er mjög góð saga um það þegar ýsan ók í bæinn og fékk ís."),
        ("cp1252", "Où est la clé ? À côté de la forêt, près du château, déjà très âgé, naïf."),
        ("cp1252", "Smørrebrød på gåden er øens bedste, æbler også."),
        ("cp1252", "Die Schlüssel hängen am Haken über der Tür, größer als üblich."),
        ("cp1250", "Klíč je u vrátného, prosím vraťte jej včas, děkujeme žáci."),
        ("cp1250", "Klucz jest u stróża, proszę go oddać na czas, dziękuję żołnierzu."),
        ("cp1251", "Ключ до вечера у вахтёра, просьба вернуть его вовремя."),
        ("koi8_r", "Ключ до вечера у вахтёра, просьба вернуть его вовремя."),
        ("cp1253", "Το κλειδί βρίσκεται στον θυρωρό μέχρι το βράδυ."),
        ("cp1256", "المفتاح عند البواب حتى المساء، يرجى إعادته في الوقت."),
        ("gb18030", "钥匙在门卫那里，请按时归还。机器每星期一检查一次。"),
        ("gb18030", "公司的会议在星期三举行，请大家准时参加。"),
        ("big5", "鑰匙在門衛那裡，請按時歸還。機器每星期一檢查一次。"),
        ("big5", "公司的會議在星期三舉行，請大家準時參加。"),
        ("cp949", "열쇠는 저녁까지 경비원에게 있습니다. 제시간에 돌려주세요."),
        ("cp949", "회의는 수요일에 열립니다. 모두 참석해 주십시오."),
        ("cp932", "機械は毎週月曜日に点検します。"),
    ],
)
def test_other_languages_are_left_to_the_general_guess(encoding, text):
    assert code_page_of(text.encode(encoding)) is None
