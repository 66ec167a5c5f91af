"""The declarations: where the rows come from, who they are, who made them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from xbench.api import Dataset, Files, Hub, Packaged, Reader, Source, SourceFile, Split, language_name

from .readers import read_hub_json, read_hub_parquet, read_korsts, read_mini, read_sts17, read_stsb
from .translations import read_mini_translations, read_mixed_pairs, read_translations

SEMEVAL_2017 = (
    "Cer, Diab, Agirre, Lopez-Gazpio, Specia (2017). SemEval-2017 Task 1: Semantic Textual Similarity, Multilingual "
    "and Crosslingual Focused Evaluation. doi:10.18653/v1/S17-2001"
)
KORSTS = (
    "Ham, Choe, Park, Choi, Soh (2020). KorNLI and KorSTS: New Benchmark Datasets for Korean Natural Language "
    "Understanding. arXiv:2004.03289"
)

STSB_ARCHIVE = "https://ixa2.si.ehu.eus/stswiki/images/4/48/Stsbenchmark.tar.gz"
STSB_HUB = ("mteb/stsbenchmark-sts", "b0fddb56ed78048fa8b90373c8a3cfc37b684831")
# split: (file's sha256, file on the hub, rows, identity of the rows)
STSB = {
    "train": (
        "0f71910b59aa1ad973c5897f0791f3b0965a92b8f82b1a95f3eea9f4162fda82",
        "train.jsonl.gz",
        5749,
        "bbccaee9a1911a582f5a8c116bab997b876adae4fc9fc95bbc4577944a134768",
    ),
    "dev": (
        "5d7e944d8b02734b07bfdb5df67db3420c64bed153fcaa1ba47ad03480cf4234",
        "validation.jsonl.gz",
        1500,
        "45a7f72ffcb5eb0145fbf8905c3d47d2c92cb882435c22152cdc72f64a0e5a14",
    ),
    "test": (
        "affe45928a66ee5a708531233c95b7dacbbdc57f974f002a3d32ea0180cf816a",
        "test.jsonl.gz",
        1379,
        "533286aa2ebcbbb88422604d4cdca7d26235d528abaad205b253ee5d7f7315a3",
    ),
}

KORSTS_RAW = "https://raw.githubusercontent.com/kakaobrain/kor-nlu-datasets/{commit}/KorSTS/sts-{split}.tsv"
KORSTS_HUB = ("dkoterwa/kor-sts", "016f35f9b961daaaa7a352e927084e3da662ac1f")
# split: (the repository's commit, file's sha256, file on the hub, rows, identity of the rows)
KORSTS_SPLITS = {
    "train": (
        "55b4a94753b7ca1e41fdcbe58974778b41158536",
        "b5aaa7f957d6ff46f4b6834a8b0f024a9234a6eefe9289aed66746b4533da3b8",
        "data/train-00000-of-00001-e375a1f0beaa2ba9.parquet",
        5749,
        "e5392f616d1d2ef4f85e5d9251b8f81b726eec6f567ad4a832b9a35098d6aba3",
    ),
    "dev": (
        "469aced6fec3e263fd587dadae2695d340ade7c8",
        "d835b65b424401fbcce6be28a78159df8d61f5b19977ea7a0b83b8cb6105f393",
        "data/valid-00000-of-00001-b758ee893689895c.parquet",
        1500,
        "aa83127fe9f837af26fd1e8ef22e3d6319f1180259c5a948c0d45e3313cb416a",
    ),
    "test": (
        "469aced6fec3e263fd587dadae2695d340ade7c8",
        "13f83a3440d9db52d134eb40303ce021b03264aa338fbf2871c8786ce04d2105",
        "data/test-00000-of-00001-804c05b8dee3fa27.parquet",
        1379,
        "d1ded94211e4bc4085e02c9060f425b51c66a1f01069b8df880fd699838c07fc",
    ),
}

# split: (splits whose sentences are left out, rows, identity of the rows)
TRANSLATIONS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "train": (("dev", "test"), 9999, "34deec277b1a9429aba3877fd173ad0285330d8b37de00852da5b91a97d51991"),
    "dev": (("test",), 2810, "74af74895f640d782d150bbb711e941860f8dadcfbe9d9e92c00ab46c0c16ba3"),
    "test": ((), 2552, "2a7f33126740826bc7158783dc83efcef850b6667266cd6a5cf2b713e39f8683"),
}
# split: (rows, identity of the rows)
MIXED_PAIRS = {
    "train": (5749, "1c63df9d1ae45f2f385b23058f9e02f7a492959959a62c1fe32351eaeb5ae2ab"),
    "dev": (1500, "5311de32fd2acfa062f4d895db3ce04bf09daab797099b478c7ee83834ca12dd"),
    "test": (1379, "0fd6c2a5a85ac2a69294c8a913e018662d38315ee36e49b5253dd1e4878ec107"),
}

MADE_OF_TWO = "it is made here, of the files of stsb and korsts"

STS17_ARCHIVES = "https://alt.qcri.org/semeval2017/task1/data/uploads/"
STS17_HUB = ("mteb/sts17-crosslingual-sts", "faeb762787bd10488a50c8b5be4a3b82e411949c")


class Track(NamedTuple):
    """One evaluation set of SemEval-2017 task 1."""

    dataset: str
    track: str
    languages: tuple[str, ...]  # in the file's order
    input_sha256: str
    gold_sha256: str
    hub_file: str | None
    rows_sha256: str


STS17 = [
    Track(
        "sts17-ar",
        "1.ar-ar",
        ("ar",),
        "a4f24daa03def87b52769b3a5ea9fe5f8b66d2f06db2a6565395cb1575443e3e",
        "4a7ad1eb5219605ab09cd743727c4059acdf55df9ae7351b5df079cc47ae983e",
        "test/ar-ar.jsonl.gz",
        "aae6c5801b9a09de77acd910d000a31e3a190bc964a3c1dbd705bf1b9e0db4d4",
    ),
    Track(
        "sts17-ar-en",
        "2.ar-en",
        ("en", "ar"),
        "e70c9546323388411dc57468eae360341746a7fe5501d0e87b28cc386c45f308",
        "e37e117a16236be51a0b1fcd71344efb413964acefbc849603e16ec841072e41",
        "test/en-ar.jsonl.gz",
        "0c9788315c586f1ec57b8d6349db55b1c3482ca746aab17f349f017b9e00d26b",
    ),
    Track(
        "sts17-es",
        "3.es-es",
        ("es",),
        "9daa6bf43dcd0bb733773b6fc15bd66be799b94e8b56b3ab07f29cefdc39c5d9",
        "96f9d7914e31510774b4b696024b4da8f66ac1ed681d2e9895cc622185a5e637",
        "test/es-es.jsonl.gz",
        "0f09f285f8c35f942207cacf0aa80acc235c2621c7b67fbef67457a40b6dce3a",
    ),
    Track(
        "sts17-es-en",
        "4a.es-en",
        ("es", "en"),
        "312de93aa424c5862dbb0f8d4d83b6389cd08428278961ab2c6c53655428c812",
        "043319c5223da878f0300b7674adbae656014d5f55f0f6cab5fcb83b9f2921e6",
        "test/es-en.jsonl.gz",
        "341479a5bb1b6b50c2588c02e53da7c6c73f521696ae8cd33d460679a862122c",
    ),
    Track(
        "sts17-es-en-wmt",
        "4b.es-en",
        ("en", "es"),
        "caadaa457aa5548379d83d36fba9c05a4e0424fabb1ba22bf938a0c66c47eee9",
        "67e226bbd2b0d42b8b4f0e0b677df1740e992aa10dfed56411eb62e1071df95e",
        None,
        "f7cc0dcbed1e4e54022afed8e643409b595a5a5bbd7245520a738707d12c527d",
    ),
    Track(
        "sts17-en",
        "5.en-en",
        ("en",),
        "8d493844c1010eb6b5d373e289b8d6ddc003e626bf8495976cc40c0a5f47414c",
        "a767d322cc3e78ff43f3c541a4fc0b9e0e5681f27c20de7eb9095fbb9072cf04",
        "test/en-en.jsonl.gz",
        "bc4807a442a1f1e74c5eadb4f1afd113936479d43b1c60f67aede3f9ab5a00a6",
    ),
]

MINI = Path(__file__).parent / "mini"
# split: rows; (split, language): identity of the rows
MINI_ROWS = {"train": 256, "test": 112}
MINI_SHA256 = {
    ("train", "en"): "9c9dcc4751a53bedaf5ad4eaa78bdefbe87c5d4fff87b1ed5e3d0e11e7332007",
    ("train", "ko"): "cfbc5d4b2acb0c529aa1d459cab0ff95a292fd243b843259f289ef5ac3978caa",
    ("train", "es"): "5ed1fac045c71189dcf13a5f7b6bdee767b5fbb92df1c369d1291cdff2de65e9",
    ("train", "ar"): "f6efc3f63ce1867d20b41d8095ec1f63089daaf369659dd6f188764be21cccca",
    ("test", "en"): "b4fdb4c3b6792da9b69bd12c8926f88c85334007e359463701927a208323f015",
    ("test", "ko"): "640794986dd6ba9b8b25534fdad81f732be97a5f380b58ccf0bba35d5a1ec3ef",
    ("test", "es"): "3185fd2a9584cbb40a497ee707612903bb56b3e6044f03ca147250861b2a1857",
    ("test", "ar"): "35319ff96d7d60223e5bbd47f06e4013ff1101bc3900aae4a1b2d6bc75d316cf",
}
# (split, language): rows, identity of the rows
MINI_TRANSLATIONS = {
    ("train", "ko"): (512, "dc9c319fe6f37f22bc683736f3c004d3c21bcd33331bc9a6a0199152d10e3641"),
    ("test", "ko"): (224, "a61f1669f93313fd3784d68d641afbf3e6bc372005d76c4e8b589ee2253d4477"),
    ("train", "es"): (512, "506cd135c5c2fbbd13fa9a2fed9c42a6e4e1a9df1979c6a809372fc14fa455ad"),
    ("test", "es"): (224, "ad568e10bce25803c347aed2bee0342dde994a8fe43f6302ce0cd5043c24a6b3"),
    ("train", "ar"): (512, "18f844f38659a7c49072bde7cb98b867c01bb15aa78be0f2e534e119a16f4701"),
    ("test", "ar"): (224, "ba5feb2562bf1d5e4e33175dcbafe5333048def97cae3b1210063f86813ce27f"),
}
LANGUAGES = ("en", "ko", "es", "ar")


def _dataset(
    name: str, languages: tuple[str, ...], splits: Mapping[str, Split], licence: str, citation: str, homepage: str,
    description: str, sample: bool = False, translation_of: str = "", not_on_hub: str = "",
) -> Dataset:  # fmt: skip
    return Dataset(
        name, languages, "pair-score", splits, licence, citation, homepage, description, sample,
        score_range=(0.0, 5.0), translation_of=translation_of, not_on_hub=not_on_hub,
    )  # fmt: skip


def _stsb_file(split: str) -> SourceFile:
    member = f"stsbenchmark/sts-{split}.csv"
    return SourceFile(member, STSB[split][0], STSB_ARCHIVE, member)


def _korsts_file(split: str) -> SourceFile:
    commit, sha256, *_ = KORSTS_SPLITS[split]
    return SourceFile(f"korsts/sts-{split}.tsv", sha256, KORSTS_RAW.format(commit=commit, split=split))


def _stsb() -> Dataset:
    splits = {}
    for split, (_, hub_file, rows, identity) in STSB.items():
        sources = (
            Files((_stsb_file(split),), read_stsb),
            Hub(*STSB_HUB, (hub_file,), read_hub_json),
        )
        splits[split] = Split(sources, rows, identity)
    return _dataset(
        "stsb", ("en",), splits, "scores CC BY-SA 4.0, texts mixed (LICENSE.txt)", SEMEVAL_2017,
        "https://ixa2.si.ehu.eus/stswiki/index.php/STSbenchmark",
        "STS Benchmark: English sentence pairs from captions, headlines and forums",
    )  # fmt: skip


def _korsts() -> Dataset:
    splits = {}
    for split, (_, _, hub_file, rows, identity) in KORSTS_SPLITS.items():
        sources = (
            Files((_korsts_file(split),), read_korsts),
            Hub(*KORSTS_HUB, (hub_file,), read_hub_parquet),
        )
        splits[split] = Split(sources, rows, identity)
    return _dataset(
        "korsts", ("ko",), splits, "CC BY-SA 4.0", KORSTS, "https://github.com/kakaobrain/kor-nlu-datasets",
        "KorSTS: STS Benchmark in Korean; train machine-translated, dev and test by people", translation_of="stsb",
    )  # fmt: skip


def _translations() -> Dataset:
    splits = {}
    for split, (held_out, rows, identity) in TRANSLATIONS.items():
        files = [file for name in (split, *held_out) for file in (_stsb_file(name), _korsts_file(name))]
        splits[split] = Split((Files(tuple(files), read_translations),), rows, identity)
    return Dataset(
        "stsb-korsts", ("en", "ko"), "parallel", splits, "CC BY-SA 4.0, texts mixed (STSb's LICENSE.txt)", KORSTS,
        "https://github.com/kakaobrain/kor-nlu-datasets",
        "The sentences of STSb with their translations in KorSTS; none of train stands in dev or test",
        not_on_hub=MADE_OF_TWO,
    )  # fmt: skip


def _mixed_pairs() -> Dataset:
    splits = {
        split: Split((Files((_stsb_file(split), _korsts_file(split)), read_mixed_pairs),), rows, identity)
        for split, (rows, identity) in MIXED_PAIRS.items()
    }
    return _dataset(
        "stsb-korsts-sts", ("en", "ko"), splits, "CC BY-SA 4.0, texts mixed (STSb's LICENSE.txt)", KORSTS,
        "https://github.com/kakaobrain/kor-nlu-datasets",
        "STSb's pairs with the first sentence in English and the second one in Korean", translation_of="stsb",
        not_on_hub=MADE_OF_TWO,
    )  # fmt: skip


def _sts17(one: Track) -> Dataset:
    texts, gold = f"STS2017.eval.v1.1/STS.input.track{one.track}.txt", f"STS2017.gs/STS.gs.track{one.track}.txt"
    files = (
        SourceFile(f"sts2017/{texts}", one.input_sha256, STS17_ARCHIVES + "sts2017.eval.v1.1.zip", texts),
        SourceFile(f"sts2017/{gold}", one.gold_sha256, STS17_ARCHIVES + "sts2017.gs.zip", gold),
    )
    sources: list[Source] = [Files(files, read_sts17)]
    if one.hub_file is not None:
        sources.append(Hub(*STS17_HUB, (one.hub_file,), read_hub_json))
    return _dataset(
        one.dataset, one.languages, {"test": Split(tuple(sources), 250, one.rows_sha256)}, "CC BY-SA 4.0", SEMEVAL_2017,
        "https://alt.qcri.org/semeval2017/task1/",
        f"SemEval-2017 task 1 evaluation set, track {one.track}",
        not_on_hub="" if one.hub_file else "the hub's copy of the evaluation sets leaves this track out",
    )  # fmt: skip


def _mini(language: str) -> Dataset:
    splits = {}
    for split, rows in MINI_ROWS.items():
        reader: Reader = partial(read_mini, language=language)
        splits[split] = Split((Packaged((MINI / f"{split}.tsv",), reader),), rows, MINI_SHA256[split, language])
    return _dataset(
        f"mini-sts-{language}", (language,), splits, "Apache-2.0", "xbench, plugins/sts/mini/GUIDELINE.md",
        "plugins/sts/mini", f"{language_name(language)} pairs written for xbench: a sample to run, not a benchmark",
        sample=True, translation_of="" if language == "en" else "mini-sts-en",
    )  # fmt: skip


def _mini_translations(language: str) -> Dataset:
    splits = {}
    for split in MINI_ROWS:
        reader: Reader = partial(read_mini_translations, languages=("en", language))
        rows, identity = MINI_TRANSLATIONS[split, language]
        splits[split] = Split((Packaged((MINI / f"{split}.tsv",), reader),), rows, identity)
    return Dataset(
        f"mini-parallel-{language}", ("en", language), "parallel", splits, "Apache-2.0",
        "xbench, plugins/sts/mini/GUIDELINE.md", "plugins/sts/mini",
        f"English and {language_name(language)} sentences written for xbench: a sample to run, not a benchmark",
        sample=True,
    )  # fmt: skip


DATASETS = [
    _stsb(),
    _korsts(),
    _translations(),
    _mixed_pairs(),
    *(_sts17(one) for one in STS17),
    *(_mini(language) for language in LANGUAGES),
    *(_mini_translations(language) for language in LANGUAGES if language != "en"),
]
