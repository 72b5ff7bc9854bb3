import base64
import os

import pytest

from hub.errors import ConfigError
from hub.sealing import PREFIX, SealBroken, SealRing, is_sealed, new_key


def test_what_was_sealed_opens_for_the_same_purpose_and_no_other():
    ring = SealRing([new_key()])

    sealed = ring.seal("whsec_ü", "endpoint/a/keys")

    assert is_sealed(sealed)
    assert "whsec" not in sealed
    assert ring.open(sealed, "endpoint/a/keys") == "whsec_ü"
    with pytest.raises(SealBroken):
        ring.open(sealed, "endpoint/b/keys")


def test_the_same_text_is_sealed_differently_each_time():
    ring = SealRing([new_key()])

    assert len({ring.seal("x", "p") for _ in range(100)}) == 100


def test_every_changed_byte_is_noticed():
    ring = SealRing([new_key()])
    head, _, text = ring.seal("whsec_secret", "p").rpartition(":")
    raw = base64.b64decode(text)

    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(SealBroken):
            ring.open(f"{head}:{base64.b64encode(changed).decode()}", "p")


@pytest.mark.parametrize("end", ["", "!", "AAAA", ":::"])
def test_a_text_that_was_cut_is_broken_and_nothing_else(end):
    ring = SealRing([new_key()])
    head = ring.seal("x", "p").rpartition(":")[0]

    with pytest.raises(SealBroken):
        ring.open(f"{head}:{end}", "p")


def test_an_older_key_opens_and_the_first_seals():
    old, new = new_key(), new_key()
    before = SealRing([old]).seal("x", "p")
    both = SealRing([new, old])

    assert both.open(before, "p") == "x"
    assert not both.is_current(before)
    assert both.is_current(both.seal("x", "p"))
    with pytest.raises(SealBroken):
        SealRing([new]).open(before, "p")


def test_what_is_not_sealed_is_what_it_is():
    assert SealRing([new_key()]).open("whsec_plain", "p") == "whsec_plain"


def test_a_file_is_read_again_for_a_key_another_process_put_there(tmp_path):
    file = tmp_path / "key"
    old, new = new_key(), new_key()
    file.write_text(f"# ours\n{old}\n\n")
    ring = SealRing.of_file(file)

    file.write_text(f"{new}\n{old}\n")
    os.utime(file, ns=(1, 1))

    assert ring.open(SealRing([new]).seal("x", "p"), "p") == "x"


def test_a_key_that_is_nowhere_does_not_spoil_the_others(tmp_path):
    file = tmp_path / "key"
    file.write_text(new_key())
    ring = SealRing.of_file(file)
    sealed = ring.seal("x", "p")
    file.write_text("half a k")

    with pytest.raises(SealBroken):
        ring.open(SealRing([new_key()]).seal("x", "p"), "p")
    assert ring.open(sealed, "p") == "x"


@pytest.mark.parametrize(
    "key", ["", "x", PREFIX, PREFIX + "!!", PREFIX + base64.b64encode(bytes(31)).decode(), "A" * 44]
)
def test_what_is_no_key_is_refused_and_never_repeated(key):
    with pytest.raises(ConfigError) as refused:
        SealRing([key])

    assert len(key) < 20 or key not in str(refused.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "ü", "x" * 20_000])
def test_a_file_without_a_key_says_how_to_make_one(tmp_path, text):
    file = tmp_path / "key"
    file.write_text(text)

    with pytest.raises(ConfigError, match="hub sealing new"):
        SealRing.of_file(file)
