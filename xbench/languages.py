"""What languages are called, for people to read."""

from __future__ import annotations

_NAMES = {
    "ar": "Arabic", "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "th": "Thai", "tr": "Turkish", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
_PAIRS = """
    aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel bg:bul bi:bis
    bm:bam bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces cu:chu cv:chv cy:cym da:dan de:deu
    dv:div dz:dzo ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus fa:fas ff:ful fi:fin fj:fij fo:fao fr:fra fy:fry
    ga:gle gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye hz:her ia:ina
    id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido is:isl it:ita iu:iku ja:jpn jv:jav ka:kat kg:kon ki:kik kj:kua kk:kaz
    kl:kal km:khm kn:kan ko:kor kr:kau ks:kas ku:kur kv:kom kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao
    lt:lit lu:lub lv:lav mg:mlg mh:mah mi:mri mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya na:nau nb:nob nd:nde
    ne:nep ng:ndo nl:nld nn:nno no:nor nr:nbl nv:nav ny:nya oc:oci oj:oji om:orm or:ori os:oss pa:pan pi:pli pl:pol
    ps:pus pt:por qu:que rm:roh rn:run ro:ron ru:rus rw:kin sa:san sc:srd sd:snd se:sme sg:sag si:sin sk:slk sl:slv
    sm:smo sn:sna so:som sq:sqi sr:srp ss:ssw st:sot su:sun sv:swe sw:swa ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk
    tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol wa:wln
    wo:wol xh:xho yi:yid yo:yor za:zha zh:zho zu:zul
"""
_CODES = dict(pair.split(":") for pair in _PAIRS.split())
"""ISO 639-1: each code with the three letters that ISO 639-3 has for it."""


def code_error(code: str) -> str | None:
    """What is wrong with a language's code.

    Args:
        code: Should be ISO 639-1, or three letters of ISO 639-3 for a language that has no two.

    Returns:
        None where nothing is; the three letters themselves are not looked up.
    """
    if code in _CODES:
        return None
    short = next((two for two, three in _CODES.items() if three == code), None)
    if short is not None:
        return f"{code!r} is written {short!r} (ISO 639-1)"
    if len(code) == 3 and code.isascii() and code.isalpha() and code.islower():
        return None
    if code.lower()[:2] in _CODES and not code[2:3].isalpha():
        return f"{code!r} is written {code.lower()[:2]!r}: a region or a script is no part of the code"
    return f"{code!r} is no code of ISO 639-1, such as 'ko'"


def code_hint(text: str) -> str:
    """`` (did you mean 'fr'?)`` for a name such as ``French``, else an empty text."""
    code = next((code for code, name in _NAMES.items() if name.casefold() == text.casefold()), None)
    return "" if code is None else f" (did you mean {code!r}?)"


def language_name(code: str) -> str:
    """``Korean`` for ``ko``; a code that is not known stays as it is.

    Args:
        code: ISO 639-1.
    """
    return _NAMES.get(code, code)


def language_names(codes: str) -> str:
    """``Korean`` for ``ko``, ``English–Korean`` for ``en-ko``.

    Args:
        codes: As `Dataset.language` has them.
    """
    return "–".join(language_name(code) for code in codes.split("-"))
