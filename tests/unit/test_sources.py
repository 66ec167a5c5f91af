"""Files come whole, once, from where they may come from, or there is one line that says why not."""

from __future__ import annotations

import contextlib
import io
import socket
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.loopback import Site
from xbench.data.addresses import NotHereError, public
from xbench.data.sources import locate
from xbench.settings import Settings
from xbench.types import Files, Packaged, Row, SourceFile

BODY = "sentences ∀ 문장 😀\n".encode() * 300


def read_nothing(paths: object) -> Iterator[Row]:
    """A reader; where files come from does not depend on it."""
    return iter(())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache")


@pytest.fixture
def no_connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every attempt to look up or reach an address, each of which fails."""
    tried: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        tried.append(arguments[:2])
        raise OSError("the network was tried")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def published(url: str | None, member: str | None = None, path: str = "corpus/sts.csv") -> Files:
    return Files((SourceFile(path, None, url, member),), read_nothing)


def reason(source: Files | Packaged, settings: Settings) -> str:
    with pytest.raises(NotHereError) as caught:
        locate(source, settings)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def stored(folder: Path) -> list[Path]:
    """Every file under a folder, hidden ones too; locks hold nothing, and stay."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            entry = tarfile.TarInfo(name.removesuffix("/"))
            entry.type, entry.size = (tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE), len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


ARCHIVES = {
    "zip": zipped,
    "tar.gz": tarred,
    "tar": lambda members: tarred(members, "w"),
    "tar.xz": lambda members: tarred(members, "w:xz"),
}
MEMBERS = {
    "corpus/": b"",
    "other/sts.csv": b"another file of the same name",
    "corpus/sts.csv": BODY,
    "sts.csv": b"a third",
    "../escaped.txt": b"outside",
    "/absolute.txt": b"outside",
    "corpus/readme.txt": b"not asked for",
}


def test_a_file_is_downloaded_byte_for_byte_and_only_once(site: Site, settings: Settings) -> None:
    source = published(site.serve("/sts.csv", BODY))
    (path,), origin = locate(source, settings)
    assert origin == "url"
    assert path.name == "sts.csv"
    assert path.read_bytes() == BODY
    assert locate(source, settings) == ([path], "url")
    assert site.asked == ["/sts.csv"]


def test_the_data_root_comes_before_the_network(site: Site, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "sts.csv").write_bytes(b"mine")
    rooted = Settings(cache=settings.cache, data=tmp_path)
    assert locate(published(site.serve("/sts.csv", BODY)), rooted) == ([tmp_path / "corpus" / "sts.csv"], "data root")
    assert site.asked == []


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_member_is_found_by_its_exact_name_and_no_other_is_unpacked(
    site: Site, settings: Settings, tmp_path: Path, kind: str
) -> None:
    url = site.serve(f"/data.{kind}", ARCHIVES[kind](MEMBERS))
    (path,), _ = locate(published(url, "corpus/sts.csv"), settings)
    assert path.read_bytes() == BODY
    assert {file.name for file in stored(tmp_path)} == {"archive", "sts.csv"}
    assert not Path("/absolute.txt").exists()


@pytest.mark.parametrize("kind", ARCHIVES)
def test_two_members_of_one_base_name_are_two_files(site: Site, settings: Settings, kind: str) -> None:
    url = site.serve(f"/data.{kind}", ARCHIVES[kind](MEMBERS))
    files = tuple(SourceFile(f"root/{name}", None, url, name) for name in ("corpus/sts.csv", "other/sts.csv"))
    (first, second), _ = locate(Files(files, read_nothing), settings)
    assert (first.read_bytes(), second.read_bytes()) == (BODY, MEMBERS["other/sts.csv"])
    assert site.asked == [f"/data.{kind}"]  # an archive is fetched once, however many of its members are needed


def test_a_member_of_an_archive_that_is_here_needs_no_network(site: Site, settings: Settings) -> None:
    url = site.serve("/data.zip", ARCHIVES["zip"](MEMBERS))
    locate(published(url, "corpus/sts.csv"), settings)
    (path,), _ = locate(published(url, "other/sts.csv"), replace(settings, offline=True))
    assert path.read_bytes() == MEMBERS["other/sts.csv"]
    assert site.asked == ["/data.zip"]


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("member", ["missing/sts.csv", "CORPUS/sts.csv", "corpus"])
def test_an_archive_without_the_member_leaves_nothing_behind(
    site: Site, settings: Settings, kind: str, member: str
) -> None:
    url = site.serve(f"/data.{kind}", ARCHIVES[kind](MEMBERS))
    assert member in reason(published(url, member), settings)
    assert stored(settings.cache) == []


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
@pytest.mark.parametrize("damage", ["cut off", "altered", "not an archive"])
def test_a_damaged_archive_is_one_reason(site: Site, settings: Settings, kind: str, damage: str) -> None:
    noise = b"".join(zlib.compress(str(number).encode()) for number in range(2000))
    whole = ARCHIVES[kind]({"corpus/sts.csv": noise})
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes(byte ^ 255 for byte in whole[middle : middle + 500]) + whole[middle + 500 :]
    body = {"cut off": whole[:middle], "altered": flipped, "not an archive": BODY}[damage]
    reason(published(site.serve(f"/data.{kind}", body), "corpus/sts.csv"), settings)
    assert stored(settings.cache) == []


def test_an_archive_under_a_password_is_one_reason(site: Site, settings: Settings) -> None:
    body = bytearray(zipped({"corpus/sts.csv": BODY}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # its local entry and its directory
        body[body.index(signature) + flags] |= 1
    reason(published(site.serve("/data.zip", bytes(body)), "corpus/sts.csv"), settings)
    assert stored(settings.cache) == []


def test_an_answer_that_breaks_off_is_not_kept(site: Site, settings: Settings) -> None:
    url = site.serve("/sts.csv", BODY, Content_Length=str(len(BODY) + 100))
    assert url in reason(published(url), settings)
    assert stored(settings.cache) == []
    site.serve("/sts.csv", BODY)
    assert locate(published(url), settings)[0][0].read_bytes() == BODY


def test_an_answer_whose_length_is_no_number_makes_no_traceback(site: Site, settings: Settings) -> None:
    source = published(site.serve("/sts.csv", BODY, Content_Length="many"))
    with contextlib.suppress(NotHereError):  # it may be taken as an answer without a length, or be refused
        assert locate(source, settings)[0][0].read_bytes() == BODY


def test_a_chunked_answer_that_breaks_off_is_not_kept(site: Site, settings: Settings) -> None:
    url = site.serve("/sts.csv", b"1000\r\nonly a little", Transfer_Encoding="chunked")
    assert url in reason(published(url), settings)
    assert stored(settings.cache) == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_error_of_the_server_is_one_reason(site: Site, settings: Settings, status: int) -> None:
    url = site.serve("/sts.csv", b"<html>error</html>", status=status)
    assert url in reason(published(url), settings)
    assert stored(settings.cache) == []


def test_a_server_that_is_not_there_is_one_reason(settings: Settings) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/sts.csv"
    assert url in reason(published(url), settings)


def test_a_redirect_to_a_permitted_address_is_followed(site: Site, settings: Settings) -> None:
    url = site.serve("/old", status=302, Location=site.serve("/new", BODY))
    assert locate(published(url), settings)[0][0].read_bytes() == BODY


FORBIDDEN = ["http://example.invalid/a", "ftp://127.0.0.1/a", "file:///etc/hostname", "http://127.0.0.1.invalid/a"]
DISGUISED = ["http://127.0.0.1@example.invalid/a", "http://localhost.invalid/a", "//example.invalid/a"]


@pytest.mark.parametrize("target", FORBIDDEN + DISGUISED)
def test_a_redirect_to_a_forbidden_address_is_refused(site: Site, settings: Settings, target: str) -> None:
    message = reason(published(site.serve("/old", status=302, Location=target)), settings)
    assert public(target) in message
    assert "https" in message or "not allowed" in message
    assert stored(settings.cache) == []


def test_a_redirect_to_no_address_at_all_is_one_reason(site: Site, settings: Settings) -> None:
    url = site.serve("/old", status=302, Location="http://[not-an-address/a")
    reason(published(url), settings)
    assert stored(settings.cache) == []


@pytest.mark.parametrize("url", FORBIDDEN + DISGUISED)
def test_only_https_is_fetched_and_nothing_else_is_connected_to(
    settings: Settings, no_connections: list[object], url: str
) -> None:
    assert "https" in reason(published(url), settings)
    assert no_connections == []


def test_offline_reads_what_was_downloaded_and_connects_nowhere(site: Site, settings: Settings) -> None:
    offline = Settings(cache=settings.cache, offline=True)
    source = published(site.serve("/sts.csv", BODY))
    assert "--offline" in reason(source, offline)
    assert site.asked == []
    found = locate(source, settings)
    assert locate(source, offline) == found
    assert site.asked == ["/sts.csv"]


def test_a_file_without_an_address_says_so_and_names_the_data_root(settings: Settings, tmp_path: Path) -> None:
    message = reason(published(None), Settings(cache=settings.cache, data=tmp_path))
    assert str(tmp_path / "corpus" / "sts.csv") in message
    assert "cannot be downloaded" in message
    assert "XBENCH_DATA" in reason(published(None), settings)


def test_a_packaged_file_that_is_gone_asks_to_reinstall(settings: Settings, tmp_path: Path) -> None:
    present, gone = tmp_path / "here.tsv", tmp_path / "gone.tsv"
    present.touch()
    assert locate(Packaged((present,), read_nothing), settings) == ([present], "package")
    message = reason(Packaged((present, gone), read_nothing), settings)
    assert str(gone) in message
    assert "reinstall" in message
