"""Archives that are attached: their files are read, within bounds."""

from __future__ import annotations

import io
import zipfile
from email.message import EmailMessage

from ingest.loaders import Limits
from tests.ingest.loaders.documents import headings, load, texts


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def mail(path, content: bytes, name: str = "papers.zip"):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ida@example.org", "ben@example.org", "Papers"
    message.set_content("See the papers.")
    message.add_attachment(content, maintype="application", subtype="zip", filename=name)
    path.write_bytes(bytes(message))
    return path


def test_the_files_of_an_archive_are_read(tmp_path):
    inner = archive({"deep.txt": b"Too deep."})
    files = {"a/notes.txt": b"The dew point is 11 degrees.", "b.csv": b"Post;Amount\nRent;1200\n", "inner.zip": inner}
    document = load(mail(tmp_path / "a.eml", archive(files)))
    assert headings(document)[1:] == [
        "Attachment › papers.zip › a/notes.txt",
        "Attachment › papers.zip › b.csv › row 2",
    ]
    assert "The dew point is 11 degrees." in "".join(texts(document))
    assert "Too deep" not in "".join(texts(document))
    assert "“inner.zip” was not read" in document.notice


def test_what_is_too_large_or_damaged_is_told(tmp_path):
    bomb = archive({f"{number}.txt": b"0" * (1 << 20) for number in range(4)})
    document = load(mail(tmp_path / "a.eml", bomb), limits=Limits(max_file_mb=2))
    assert "unpacks to more than 2 MB" in document.notice
    many = archive({f"{number}.txt": b"x" for number in range(300)})
    document = load(mail(tmp_path / "b.eml", many))
    assert len(document.sections) == 201
    assert "holds 300 files, of which 200 were read" in document.notice
    whole = archive({"a.txt": b"some text, and more" * 100})
    for content in (b"no archive", whole[:60], whole.replace(b"PK\x03\x04", b"PK\x03\x05")):
        assert "is damaged and was not read" in load(mail(tmp_path / "c.eml", content)).notice
