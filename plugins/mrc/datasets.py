"""The declarations: where the rows come from, who they are, who made them."""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path

from xbench.api import Dataset, Files, Hub, Packaged, Reader, Source, SourceFile, Split, language_name

from .readers import read_hub_squad, read_mini, read_parallel_questions, read_squad, read_tydiqa
from .scorers import MLQA_LANGUAGES

SQUAD = (
    "Rajpurkar, Zhang, Lopyrev, Liang (2016). SQuAD: 100,000+ Questions for Machine Comprehension of Text. "
    "doi:10.18653/v1/D16-1264"
)
SQUAD_44 = SQUAD + "; the split: Du, Shao, Cardie (2017). Learning to Ask. doi:10.18653/v1/P17-1123"
KORQUAD = "Lim, Kim, Lee (2019). KorQuAD1.0: Korean QA Dataset for Machine Reading Comprehension. arXiv:1909.07005"
SQUAD_ES = (
    "Carrino, Costa-jussà, Fonollosa (2020). Automatic Spanish Translation of SQuAD Dataset for Multi-lingual Question "
    "Answering. LREC 2020, 5515-5523"
)
XQUAD = (
    "Artetxe, Ruder, Yogatama (2020). On the Cross-lingual Transferability of Monolingual Representations. "
    "doi:10.18653/v1/2020.acl-main.421"
)
MLQA = (
    "Lewis, Oguz, Rinott, Riedel, Schwenk (2020). MLQA: Evaluating Cross-lingual Extractive Question Answering. "
    "doi:10.18653/v1/2020.acl-main.653"
)
TYDIQA = (
    "Clark, Choi, Collins, Garrette, Kwiatkowski, Nikolaev, Palomaki (2020). TyDi QA: A Benchmark for "
    "Information-Seeking Question Answering in Typologically Diverse Languages. doi:10.1162/tacl_a_00317"
)

SQUAD_FILES = "https://rajpurkar.github.io/SQuAD-explorer/dataset/"
KORQUAD_FILES = "https://korquad.github.io/dataset/"
SQUAD_ES_FILES = "https://raw.githubusercontent.com/ccasimiro88/TranslateAlignRetrieve/master/SQuAD-es-v1.1/"
XQUAD_FILES = "https://raw.githubusercontent.com/google-deepmind/xquad/master/"
MLQA_ARCHIVE = "https://dl.fbaipublicfiles.com/MLQA/MLQA_V1.zip"
TYDIQA_FILES = "https://storage.googleapis.com/tydiqa/v1.1/"

# The hub's SQuAD, at a commit that many evaluations pin (it stands in the cache paths of NVIDIA NeMo's documentation).
# Its builder leaves texts as they are (huggingface/datasets, pull request 2586).
#
# Those of the hub's XQuAD, TyDi QA and KorQuAD do not (datasets/xquad/xquad.py, tydiqa/tydiqa.py and
# squad_kor_v1/squad_kor_v1.py, in the same repository): they strip passages, questions and answers and leave the
# offsets as they were. Of the rows that are pinned here, 15 have another passage and 42 another question in xquad-en,
# 97 and 19 in xquad-ar; 112 another passage in tydiqa-en, 518 in tydiqa-ko; 232 another question in korquad's dev, and
# 3 another answer. Another text is another dataset: these have no source on the hub. Of squad-es and mlqa it has
# loading scripts, which nobody runs any more.
SQUAD_HUB = ("rajpurkar/squad", "7b6d24c440a36b6815f21b70d25016731768db1f")
STRIPPED = "the hub's copy is other rows: on its way there, texts lost white space that answers are counted from"
SCRIPT = "the hub has a loading script for it, which nobody runs any more, and no files of its authors'"

CC_BY_SA = "CC BY-SA 4.0"
ENGLISH_TRAINING = ("squad-44", "tydiqa-en")
TYDIQA_LANGUAGES = {
    "ar": "arabic", "bn": "bengali", "en": "english", "fi": "finnish", "id": "indonesian", "ko": "korean",
    "ru": "russian", "sw": "swahili", "te": "telugu",
}  # fmt: skip
# XQuAD files really seen: (file's sha256, identity of the rows).
XQUAD_SEEN: dict[str, tuple[str, str]] = {
    "ar": (
        "abdabd7afed5c635d99cca0f3f0d0c9d9ed0bc77451e963c2e4e0638c29e486d",
        "79f4116baba051033ff539e4b4fbb0601992d07243773d12514fe63e2b80a6cc",
    ),
    "en": (
        "e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29",
        "284fc5fabdf14f6df95dece6259f6129620ee1aa4c695ae28e72f128207533ad",
    ),
    "es": (
        "dcbae93ec3a9f4b9e78fd834a171d6f96c1a875e10e15b7530b7e4ef4971e37e",
        "479d9710c5b253246f6967a9656ca285694961b8021c5648df52c1cc74ec90f9",
    ),
}
# (source, target): (rows, identity of the rows)
XQUAD_QUESTIONS = {
    ("es", "en"): (1186, "7406ddba169389edbb99958aa17712d77bba438d5ddd69ddc91249f22688e11c"),
    ("en", "ar"): (1187, "3b04dfc935ce42a7d80ee2d44ee8ce234be16da1315c1648cbe8a3f25de95093"),
}
XQUAD_LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
# Files of one language of TyDiQA-GoldP's training part: (file's sha256, rows, identity of the rows).
TYDIQA_SEEN: dict[str, tuple[str, int, str]] = {
    "en": (
        "eed7ee81e2fa6d76afcf56ef0997e4b73c86f7cf9de20e1015d08678666f350b",
        3696,
        "ea811b7a7dee498fccd8ae39f7fcfce0c12eeedb4e4d894c30fd7c3d5f700cd8",
    ),
    "ko": (
        "2a823b7bc1c1d373917a104e3df63cbc3af02191a1d6fa7e64c9a806a3744adc",
        1625,
        "09ecba00a1eddd8dc8208b24c9882d701be1dd3842bba6123cd537c7c0805f5d",
    ),
}
MINI = Path(__file__).parent / "mini"
MINI_ROWS = {"train": 192, "test": 96}
MINI_SHA256 = {
    ("train", "en"): "c56c6534fa710d43fec98442277301fa2f7707731b5a5d6c3b0dda6526b4156b",
    ("train", "ko"): "bda4a29b8cfd73d0f3f54d39ab57b2e06dba567af2c724ed7c0337d79e88e6b6",
    ("train", "es"): "5dfd7f062bd2c8918b1f43d0aee82c501b3a5202f3f58ac82a1acca2428c9bf1",
    ("train", "ar"): "4c1c0f0e5b2d070578f220778a8299e08d37582b0cfec5f375e5f764ba6e45ee",
    ("test", "en"): "f0b679ddfcfb4954ff5de17593c1e5a91caa2e6b850c4654f725b80cfb910e92",
    ("test", "ko"): "f0f4ece67188df8ed14aabe2255a06928847bab08bb0e51a9631dd92c7f5fa5d",
    ("test", "es"): "178516a6128029d610ee20589ed213b8c22fefe9b20051a671914534f3a3128c",
    ("test", "ar"): "fe33c7cb4953201df3e386c6d59887ced79440b3fbe9ee87e8c358c16c05f2c4",
}
LANGUAGES = ("en", "ko", "es", "ar")


def _split(
    path: str, url: str | None, *, sha256: str | None = None, rows: int | None = None, pin: str | None = None,
    read: Reader = read_squad, member: str | None = None, stand_ins: tuple[str, ...] = (), hub: Hub | None = None,
) -> Split:  # fmt: skip
    files = Files((SourceFile(path, sha256, url, member),), read)
    sources: tuple[Source, ...] = (files,) if hub is None else (files, hub)
    return Split(sources, rows, pin, stand_ins)


def _squad_hub(split: str) -> Hub:
    return Hub(*SQUAD_HUB, (f"plain_text/{split}-00000-of-00001.parquet",), read_hub_squad)


SQUADS = [
    Dataset(
        name="squad",
        languages=("en",),
        schema="span",
        splits={
            "train": _split(
                "squad-v1.1/train-v1.1.json",
                SQUAD_FILES + "train-v1.1.json",
                rows=87599,
                stand_ins=ENGLISH_TRAINING,
                hub=_squad_hub("train"),
            ),
            "dev": _split(
                "squad-v1.1/dev-v1.1.json",
                SQUAD_FILES + "dev-v1.1.json",
                sha256="95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
                rows=10570,
                pin="700cd7f4b45612cfc93b480d9dc807826822d6cb5171103163deb1b1dfd13e1c",
                hub=_squad_hub("validation"),
            ),
        },
        licence=CC_BY_SA,
        citation=SQUAD,
        homepage="https://rajpurkar.github.io/SQuAD-explorer/",
        description="SQuAD v1.1: questions on English Wikipedia paragraphs",
        official=("squad",),
    ),
    Dataset(
        name="squad-44",
        languages=("en",),
        schema="span",
        splits={
            "train": _split(
                "squad-v1.1/du2017-split/test-v1.1.json",
                None,
                sha256="e7853905d95f255090f58a2af5221c7f2b296934f8a6c1d77b36df4686f0d828",
                rows=11877,
                pin="efa3ef59c2cada291c309b5eff95912046fd4cb5f25f145dc4a1a12c003aab77",
                stand_ins=("squad", "tydiqa-en"),
            )
        },
        licence=CC_BY_SA,
        citation=SQUAD_44,
        homepage="https://github.com/xinyadu/nqg",
        description="44 whole articles of SQuAD v1.1's training part, those that Du et al. (2017) test on",
        official=("squad",),
        not_on_hub="the hub has SQuAD whole, and no list of these articles",
    ),
    Dataset(
        name="korquad",
        languages=("ko",),
        schema="span",
        splits={
            "train": _split(
                "korquad-v1.0/KorQuAD_v1.0_train.json",
                KORQUAD_FILES + "KorQuAD_v1.0_train.json",
                rows=60407,
                stand_ins=("tydiqa-ko",),
            ),
            "dev": _split(
                "korquad-v1.0/KorQuAD_v1.0_dev.json",
                KORQUAD_FILES + "KorQuAD_v1.0_dev.json",
                sha256="25ffeb51e6c51ec02c071b60a10188e10005c144110f0d876b26079d80a35bdf",
                rows=5774,
                pin="a5aa35c00e3d4d4351d33a2c3ddabebe93d2c8983cb78de2e0032c1a80a19c74",
            ),
        },
        licence="CC BY-ND 2.0 KR: no changed copy may be passed on",
        citation=KORQUAD,
        homepage="https://korquad.github.io/",
        description="KorQuAD v1.0: questions on Korean Wikipedia paragraphs",
        official=("korquad",),
        not_on_hub=STRIPPED,
    ),
    Dataset(
        name="squad-es",
        languages=("es",),
        schema="span",
        splits={
            "train": _split("squad-es/train-v1.1-es.json", SQUAD_ES_FILES + "train-v1.1-es.json"),
            "dev": _split(
                "squad-es/dev-v1.1-es.json", SQUAD_ES_FILES + "dev-v1.1-es.json", stand_ins=("squad-es-small",)
            ),
        },
        licence="CC BY 4.0",
        citation=SQUAD_ES,
        homepage="https://github.com/ccasimiro88/TranslateAlignRetrieve",
        description="SQuAD v1.1, translated to Spanish by machine; the whole dev file",
        official=("squad", "mlqa"),
        translation_of="squad",
        not_on_hub=SCRIPT,
    ),
    Dataset(
        name="squad-es-small",
        languages=("es",),
        schema="span",
        splits={
            "dev": _split(
                "squad-es/dev-v1.1-es_small.json",
                SQUAD_ES_FILES + "dev-v1.1-es_small.json",
                sha256="f7371e5800acc27bdb1bc213edc0126029007b335bb78ba8ab2ad2529227fdd7",
                rows=6583,
                pin="8fd1ee01cc81528a719982a3bdb1c489b1910445e33f87eed66d8759cc1a230e",
            )
        },
        licence="CC BY 4.0",
        citation=SQUAD_ES,
        homepage="https://github.com/ccasimiro88/TranslateAlignRetrieve",
        description='SQuAD v1.1, translated to Spanish by machine; the "small" dev file',
        official=("squad", "mlqa"),
        translation_of="squad",
        not_on_hub=SCRIPT,
    ),
]


def _xquad_file(language: str) -> SourceFile:
    name = f"xquad.{language}.json"
    return SourceFile(f"xquad/{name}", XQUAD_SEEN.get(language, (None,))[0], XQUAD_FILES + name)


def _xquad(language: str) -> Dataset:
    pin = XQUAD_SEEN[language][1] if language in XQUAD_SEEN else None
    split = Split((Files((_xquad_file(language),), read_squad),), 1190, pin)
    return Dataset(
        name=f"xquad-{language}",
        languages=(language,),
        schema="span",
        splits={"dev": split},
        licence=CC_BY_SA,
        citation=XQUAD,
        homepage="https://github.com/google-deepmind/xquad",
        description="A part of SQuAD v1.1's dev set"
        + (", as it is" if language == "en" else ", translated by professionals"),
        official=("squad", "mlqa") if language in MLQA_LANGUAGES else ("squad",),
        translation_of="" if language == "en" else "xquad-en",
        not_on_hub=STRIPPED,
    )


def _xquad_questions(first: str, second: str) -> Dataset:
    rows, pin = XQUAD_QUESTIONS[first, second]
    files = Files((_xquad_file(first), _xquad_file(second)), read_parallel_questions)
    return Dataset(
        name=f"xquad-questions-{first}-{second}",
        languages=(first, second),
        schema="parallel",
        splits={"train": Split((files,), rows, pin)},
        licence=CC_BY_SA,
        citation=XQUAD,
        homepage="https://github.com/google-deepmind/xquad",
        description="XQuAD's questions in two languages, as parallel sentences",
        not_on_hub=STRIPPED,
    )


def _mlqa(context: str, question: str) -> Dataset:
    splits = {}
    for split in ("dev", "test"):
        name = f"{split}-context-{context}-question-{question}.json"
        splits[split] = _split(f"mlqa/{split}/{name}", MLQA_ARCHIVE, member=f"MLQA_V1/{split}/{name}")
    return Dataset(
        name=f"mlqa-{context}-{question}",
        languages=(context,) if context == question else (context, question),
        schema="span",
        splits=splits,
        licence="CC BY-SA 3.0",
        citation=MLQA,
        homepage="https://github.com/facebookresearch/MLQA",
        description=f"MLQA: passages in {context}, questions in {question}",
        official=("mlqa",),
        not_on_hub=SCRIPT,
    )


def _tydiqa(language: str, word: str) -> Dataset:
    sha256, rows, pin = TYDIQA_SEEN.get(language, (None, None, None))
    whole = SourceFile("tydiqa-goldp/tydiqa-goldp-v1.1-train.json", None, TYDIQA_FILES + "tydiqa-goldp-v1.1-train.json")
    own = SourceFile(f"tydiqa-goldp/tydiqa.goldp.{language}.train.json", sha256)
    read = partial(read_tydiqa, language=word, keep_ids=False)
    dev = "tydiqa-goldp-v1.1-dev.json"
    return Dataset(
        name=f"tydiqa-{language}",
        languages=(language,),
        schema="span",
        splits={
            "train": Split((Files((own,), read), Files((whole,), read)), rows, pin),
            "dev": _split(
                f"tydiqa-goldp/{dev}", TYDIQA_FILES + dev, read=partial(read_tydiqa, language=word, keep_ids=True)
            ),
        },
        licence="Apache-2.0",
        citation=TYDIQA,
        homepage="https://github.com/google-research-datasets/tydiqa",
        description=f"TyDi QA's gold passage task, {word}: questions by people who did not know the answer",
        official=("squad",),
        not_on_hub=STRIPPED,
    )


def _mini(language: str) -> Dataset:
    read = partial(read_mini, language=language)
    splits = {
        split: Split((Packaged((MINI / f"{split}.json",), read),), rows, MINI_SHA256[split, language])
        for split, rows in MINI_ROWS.items()
    }
    return Dataset(
        name=f"mini-mrc-{language}",
        languages=(language,),
        schema="span",
        splits=splits,
        licence="Apache-2.0",
        citation="xbench, plugins/mrc/mini/GUIDELINE.md",
        homepage="plugins/mrc/mini",
        description=f"{language_name(language)} passages written for xbench: a sample to run, not a benchmark",
        sample=True,
        official=("korquad",) if language == "ko" else ("squad",),
        translation_of="" if language == "en" else "mini-mrc-en",
    )


DATASETS = [
    *SQUADS,
    *map(_xquad, XQUAD_LANGUAGES),
    *(_xquad_questions(*pair) for pair in XQUAD_QUESTIONS),
    *(_mlqa(context, question) for context, question in product(MLQA_LANGUAGES, MLQA_LANGUAGES)),
    *(_tydiqa(language, word) for language, word in TYDIQA_LANGUAGES.items()),
    *map(_mini, LANGUAGES),
]
