"""A password in a file of its own reaches the database's address as it is, and a mistake is one sentence."""

import json

import pytest

from hub.config import load
from hub.errors import ConfigError

KAFKA = {"servers": "127.0.0.1:9092"}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.delenv("HUB_STORE__POSTGRES", raising=False)

    def made(postgres, password=None):
        store = {"postgres": postgres} if postgres else {}
        if password is not None:
            store["password_file"] = str(tmp_path / "password")
            if password:
                (tmp_path / "password").write_bytes(password)
        (tmp_path / "hub.yaml").write_text(
            json.dumps({"store": store, "bus": {"kafka": KAFKA}}), encoding="utf-8"
        )
        return load(tmp_path / "hub.yaml")

    return made


@pytest.mark.parametrize(
    ("written", "reached"),
    [
        (b"secret\n", "postgresql://hub:secret@db:5432/hub?sslmode=require"),
        (b"secret\r\n", "postgresql://hub:secret@db:5432/hub?sslmode=require"),
        (b" a:b/c@d%e ", "postgresql://hub:%20a%3Ab%2Fc%40d%25e%20@db:5432/hub?sslmode=require"),
    ],
)
def test_the_password_of_a_file_becomes_part_of_the_address(settings, written, reached):
    assert settings("postgresql://hub@db:5432/hub?sslmode=require", written).store.address() == reached


def test_an_address_without_a_file_is_taken_as_it_is(settings):
    assert settings("postgresql://hub:x@db/hub").store.address() == "postgresql://hub:x@db/hub"


@pytest.mark.parametrize(
    ("postgres", "written", "complaint"),
    [
        ("postgresql://hub@db/hub", b"", "store.password_file .* cannot be read"),
        ("postgresql://hub@db/hub", b"\n", "holds no password"),
        ("postgresql://hub@db/hub", b"\xff\xfe", "cannot be read"),
        ("postgresql://hub@db/hub", b"x" * 5_000, "holds no password"),
        ("postgresql://hub:one@db/hub", b"two", "keep one of them"),
        ("postgresql://db/hub", b"two", "needs a user in store.postgres"),
    ],
)
def test_what_cannot_be_a_password_is_refused_and_never_shown(settings, postgres, written, complaint):
    with pytest.raises(ConfigError, match=complaint) as refused:
        settings(postgres, written).store.address()
    assert "two" not in str(refused.value)


def test_a_password_file_needs_an_address(settings):
    with pytest.raises(ConfigError, match=r"store\.postgres is not"):
        settings("", b"secret")
