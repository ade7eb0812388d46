"""Files encrypted with a passphrase: AES-256-GCM in chunks, so that no byte, chunk or end can be changed unnoticed.

Layout: a header, then chunks of `CHUNK` plain bytes, each followed by its 16-byte tag; the last one may be shorter.

| header | bytes |
|---|---|
| magic | 8 |
| log2(N), r and p of scrypt | 1 + 1 + 1 |
| salt of scrypt | 16 |
| check: tells a wrong passphrase from a damaged file | 16 |
| salt of this file | 16 |

scrypt makes 48 bytes of passphrase and salt: 32 are a master key, 16 the check. Each file has a key of its own, made
from the master key by HKDF-SHA256, so that a counter is nonce enough: 11 bytes chunk number, then 1 for the last chunk
and 0 for the others. The header is authenticated with every chunk.

Sources: RFC 7914 (scrypt), RFC 5869 (HKDF), NIST SP 800-38D (GCM); the chunk scheme is STREAM of Hoang, Reyhanitabar,
Rogaway and Vizár, Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, 2015.
"""

from __future__ import annotations

import hmac
import io
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from reid.errors import CheckpointError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAGIC = b"reidAES\x01"
CHUNK = 1 << 20
"""Plain bytes in a chunk."""

_TAG, _SALT, _CHECK = 16, 16, 16
_COST = (17, 8, 1)  # log2(N), r, p: 128 MB and about 0.4 s
_MOST_COST = (20, 16, 4)  # of a file: a forged header must not take all memory
_HEADER = len(MAGIC) + len(_COST) + _SALT + _CHECK + _SALT


class _Master(NamedTuple):
    key: bytes
    check: bytes


def is_encrypted(path: Path) -> bool:
    """Whether a file begins as those written here do."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class EncryptedWriter(io.RawIOBase):
    """A stream that encrypts what is written to it; `close` ends the last chunk, and leaves `file` open.

    Args:
        file: receives the encrypted bytes.
        passphrase: not empty.
    """

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        salt, file_salt = _salt_of_this_process(), os.urandom(_SALT)
        master = _derive(passphrase, salt, _COST)
        self._file, self._header = file, MAGIC + bytes(_COST) + salt + master.check + file_salt
        self._cipher, self._number, self._rest = _cipher(master, file_salt), 0, bytearray()
        file.write(self._header)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Takes bytes of any number; full chunks go on to the file."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), CHUNK):
            self._rest += view[start : start + CHUNK]
            while len(self._rest) > CHUNK:  # a full one stays here until another follows: it may be the last
                self._put(bytes(self._rest[:CHUNK]), last=False)
                del self._rest[:CHUNK]
        return len(view)

    def close(self) -> None:
        """Writes the last chunk, without which the file does not open."""
        if self.closed:
            return
        try:
            self._put(bytes(self._rest), last=True)
        finally:
            super().close()

    def _put(self, plain: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last=last), plain, self._header))
        self._number += 1


def decrypt(path: Path, passphrase: str) -> io.BytesIO:
    """The plain content of an encrypted file.

    Args:
        path: the file.
        passphrase: the one it was written with; empty when none is known.

    Raises:
        CheckpointError: no passphrase, the wrong one, or the file was cut or changed.
    """
    if not passphrase:
        raise CheckpointError(
            f"{path} is encrypted, and encryption_key is not set",
            "it opens only with the passphrase that its training was given",
            "put the passphrase into the environment variable REID_ENCRYPTION_KEY and add "
            "'encryption_key=${oc.env:REID_ENCRYPTION_KEY}'; reid search reads the variable by itself",
        )
    content = io.BytesIO()
    with path.open("rb") as file:
        header = file.read(_HEADER)
        cost = header[len(MAGIC) : len(MAGIC) + len(_COST)]
        if len(header) < _HEADER or any(not 0 < given <= most for given, most in zip(cost, _MOST_COST, strict=True)):
            raise _damaged(path, 0)
        salt, check, file_salt = (header[start : start + _SALT] for start in range(len(MAGIC) + 3, _HEADER, _SALT))
        master = _derive(passphrase, salt, (cost[0], cost[1], cost[2]))
        if not hmac.compare_digest(master.check, check):
            raise CheckpointError(
                f"{path} does not open with this encryption_key",
                "it was encrypted with another passphrase, or the file is damaged at its beginning",
                "give the passphrase of its training; without it nobody can read the file",
            )
        cipher = _cipher(master, file_salt)
        for number, (chunk, last) in enumerate(_chunks(file)):
            try:
                content.write(cipher.decrypt(_nonce(number, last=last), chunk, header))
            except InvalidTag as error:
                raise _damaged(path, number) from error
    content.seek(0)
    return content


def _damaged(path: Path, chunk: int) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read as a checkpoint ({path.stat().st_size:,} bytes, encrypted, damaged in chunk {chunk})",
        "the file is truncated, or was changed after it was written",
        "take another checkpoint from the same folder, or copy the file again",
    )


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Encrypted chunks and whether each is the last."""
    chunk = file.read(CHUNK + _TAG)
    while following := file.read(CHUNK + _TAG):
        yield chunk, False
        chunk = following
    yield chunk, True


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _cipher(master: _Master, file_salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), length=32, salt=file_salt, info=b"reid file").derive(master.key))


@lru_cache(maxsize=8)
def _derive(passphrase: str, salt: bytes, cost: tuple[int, int, int]) -> _Master:
    """Slow on purpose, and so done once for all files of a training."""
    log2_n, r, p = cost
    derived = Scrypt(salt=salt, length=32 + _CHECK, n=1 << log2_n, r=r, p=p).derive(passphrase.encode())
    return _Master(derived[:32], derived[32:])


@lru_cache(maxsize=1)
def _salt_of_this_process() -> bytes:
    return os.urandom(_SALT)
