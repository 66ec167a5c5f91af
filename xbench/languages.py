"""What languages are called, for people to read."""

from __future__ import annotations

_NAMES = {
    "ar": "Arabic", "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "th": "Thai", "tr": "Turkish", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


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
