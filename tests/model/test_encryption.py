"""Encrypted checkpoints: what opens them, and that no change of a byte, chunk or end goes unnoticed."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
import torch
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from reid.errors import CheckpointError
from reid.model.checkpoint import read_tensors
from reid.model.checkpoint_io import AtomicCheckpointIO
from reid.model.encryption import CHUNK, EncryptedWriter, decrypt, is_encrypted

KEY = "correct horse battery staple"
HEADER = 8 + 3 + 16 + 16 + 16


def encrypted(path: Path, plain: bytes, *, pieces: int = 1) -> Path:
    size = -(-len(plain) // pieces) or 1
    with path.open("wb") as file, EncryptedWriter(file, KEY) as writer:
        for start in range(0, len(plain), size):
            writer.write(plain[start : start + size])
    return path


def pattern(length: int) -> bytes:
    return bytes(i * 31 % 251 for i in range(1000)) * (length // 1000) + b"x" * (length % 1000)


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5])
@pytest.mark.parametrize("pieces", [1, 7])
def test_any_length_comes_back_and_every_chunk_costs_its_tag(length: int, pieces: int, tmp_path: Path) -> None:
    plain = pattern(length)

    path = encrypted(tmp_path / "file", plain, pieces=pieces)

    assert decrypt(path, KEY).getvalue() == plain
    chunks = max(-(-length // CHUNK), 1)
    assert path.stat().st_size == HEADER + length + 16 * chunks


def test_the_bytes_are_those_of_the_documented_layout(tmp_path: Path) -> None:
    path = encrypted(tmp_path / "file", b"hello")

    content = path.read_bytes()
    log2_n, r, p = content[8:11]
    salt, check, file_salt = struct.unpack("16s16s16s", content[11:HEADER])
    master = Scrypt(salt=salt, length=48, n=2**log2_n, r=r, p=p).derive(KEY.encode())
    key = HKDF(SHA256(), length=32, salt=file_salt, info=b"reid file").derive(master[:32])
    assert check == master[32:]
    assert AESGCM(key).decrypt(bytes(11) + b"\1", content[HEADER:], content[:HEADER]) == b"hello"


def test_two_files_of_one_content_and_passphrase_share_no_ciphertext(tmp_path: Path) -> None:
    one, other = (encrypted(tmp_path / name, b"hello").read_bytes() for name in "ab")

    assert one[HEADER:] != other[HEADER:]


def test_a_checkpoint_is_read_with_its_passphrase_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    value = {"state_dict": {"weight": torch.arange(500_000.0)}}
    AtomicCheckpointIO(KEY).save_checkpoint(value, path)

    assert is_encrypted(path)
    assert torch.equal(read_tensors(path, encryption_key=KEY)["state_dict"]["weight"], value["state_dict"]["weight"])
    assert AtomicCheckpointIO(KEY).load_checkpoint(path)["state_dict"].keys() == {"weight"}
    with pytest.raises(CheckpointError, match=r"is encrypted, and encryption_key is not set.*REID_ENCRYPTION_KEY"):
        read_tensors(path)
    with pytest.raises(CheckpointError, match=r"does not open with this encryption_key.*another passphrase"):
        read_tensors(path, encryption_key=KEY.upper())


def test_a_plain_checkpoint_needs_no_passphrase_and_minds_none(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    AtomicCheckpointIO().save_checkpoint({"value": 1}, path)

    assert read_tensors(path) == read_tensors(path, encryption_key=KEY) == {"value": 1}


@pytest.mark.parametrize("left", [9, HEADER, HEADER + 20, HEADER + CHUNK + 16, -16, -1])
def test_a_truncated_file_is_told_from_a_wrong_passphrase(left: int, tmp_path: Path) -> None:
    path = encrypted(tmp_path / "model.pth", pattern(2 * CHUNK + 500))
    path.write_bytes(path.read_bytes()[:left])

    with pytest.raises(CheckpointError, match=r"model\.pth cannot be read as a checkpoint .* bytes.*truncated"):
        decrypt(path, KEY)


@pytest.mark.parametrize("place", [8, 9, 30, HEADER - 1, HEADER, HEADER + CHUNK + 20, -1])
def test_a_changed_byte_is_noticed_wherever_it_is(place: int, tmp_path: Path) -> None:
    path = encrypted(tmp_path / "model.pth", pattern(2 * CHUNK))
    content = bytearray(path.read_bytes())
    content[place] ^= 0x81
    path.write_bytes(content)

    with pytest.raises(CheckpointError):
        decrypt(path, KEY)


def test_chunks_that_change_places_are_noticed(tmp_path: Path) -> None:
    path = encrypted(tmp_path / "model.pth", pattern(3 * CHUNK))
    content, size = path.read_bytes(), CHUNK + 16
    first, second, last = (content[HEADER + i * size : HEADER + (i + 1) * size] for i in range(3))
    path.write_bytes(content[:HEADER] + second + first + last)

    with pytest.raises(CheckpointError, match="damaged in chunk 0"):
        decrypt(path, KEY)


def test_one_write_may_be_larger_than_many_chunks(tmp_path: Path) -> None:
    plain = memoryview(pattern(20 * CHUNK))
    path = tmp_path / "file"
    with path.open("wb") as file, io.BufferedWriter(EncryptedWriter(file, KEY), CHUNK) as writer:
        writer.write(b"head")
        writer.write(plain)

    assert decrypt(path, KEY).getvalue() == b"head" + plain
