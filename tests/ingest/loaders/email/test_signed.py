"""Messages that are signed in an envelope (S/MIME) are read; those that are encrypted are not."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from ingest.loaders.email.signed import signed_content
from tests.ingest.loaders.documents import load, texts

INNER = b"Content-Type: text/plain; charset=utf-8\r\n\r\nThe vault code changes on Friday.\r\n"


@pytest.fixture(scope="module")
def signer():
    def made(key):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ida")])
        start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + dt.timedelta(days=900))
        return key, builder.sign(key, hashes.SHA256())

    return made(ec.generate_private_key(ec.SECP256R1())), made(rsa.generate_private_key(65537, 2048))


def enveloped(signer) -> bytes:
    (key, certificate), _ = signer
    builder = pkcs7.PKCS7SignatureBuilder().set_data(INNER).add_signer(certificate, key, hashes.SHA256())
    return builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])


def mail(path, envelope: bytes):
    head = (
        "From: Ida <ida@example.org>\nTo: ben@example.org\nSubject: Vault\nMIME-Version: 1.0\n"
        'Content-Type: application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"\n'
        "Content-Transfer-Encoding: base64\n\n"
    )
    path.write_text(head + base64.encodebytes(envelope).decode())
    return path


def without_lengths(data: bytes) -> bytes:
    """The same with the outer values of no length of their own, as programs write that do not know it before."""
    size = data[1] & 0x7F if data[1] > 0x80 else 0
    return data[:1] + b"\x80" + data[2 + size :] + b"\0\0"


def test_what_is_only_signed_is_read(tmp_path, signer):
    document = load(mail(tmp_path / "a.eml", enveloped(signer)))
    assert "The vault code changes on Friday." in texts(document)[0]
    assert document.notice == ""
    assert signed_content(without_lengths(enveloped(signer))) == INNER


def test_what_is_encrypted_is_told(tmp_path, signer):
    _, (_, certificate) = signer
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(INNER).add_recipient(certificate)
    envelope = builder.encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
    assert "encrypted or sealed" in load(mail(tmp_path / "a.eml", envelope)).notice


def test_what_is_broken_is_told(tmp_path, signer):
    whole = enveloped(signer)
    for envelope in (b"", b"\x30", whole[:40], b"\x30\x80" * 1000, b"\x30\x84\xff\xff\xff\xff", bytes(100)):
        assert "encrypted or sealed" in load(mail(tmp_path / "a.eml", envelope)).notice
