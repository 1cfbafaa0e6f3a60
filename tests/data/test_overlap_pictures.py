"""Perceptual hashes: the distances are those of ImageHash, and the nearest is found as by looking at all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from babycli.data.overlap_pictures import BITS, Alike, Looked, find_alike, has_hashes, perceptual_hash
from tests.data.frames_task import drawn

pytestmark = pytest.mark.skipif(not has_hashes(), reason="the package ImageHash is not installed")


def at_random(rng: np.random.Generator, n: int) -> list[str]:
    return [rng.bytes(BITS // 8).hex() for _ in range(n)]


def flipped(rng: np.random.Generator, text: str, n_bits: int) -> str:
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))
    bits[rng.choice(BITS, n_bits, replace=False)] ^= 1
    return np.packbits(bits).tobytes().hex()


def test_the_hash_is_imagehashes() -> None:
    import imagehash

    image = drawn(1)
    assert perceptual_hash(image) == str(imagehash.phash(image, hash_size=16))


@pytest.mark.parametrize("noise", [0, 3])
def test_one_colour_has_no_hash_though_it_be_noisy(noise: int) -> None:
    pixels = np.random.default_rng(0).integers(90 - noise, 91 + noise, (200, 300, 3), np.uint8)
    assert perceptual_hash(Image.fromarray(pixels)) == ""
    assert perceptual_hash(Image.new("RGB", (1, 1))) == ""


def test_the_nearest_is_found_as_imagehash_counts_bits() -> None:
    import imagehash

    rng = np.random.default_rng(0)
    own, mirrored, theirs = at_random(rng, 6), at_random(rng, 6), [*at_random(rng, 2500), ""]
    theirs[7] = flipped(rng, own[0], 12)
    theirs[2400] = flipped(rng, own[0], 3)
    theirs[2100] = flipped(rng, mirrored[1], 40)
    theirs[2101] = flipped(rng, own[2], 41)
    ours = {i: Looked("", own[i], mirrored[i]) for i in range(5)} | {5: Looked("", "", "")}
    found = find_alike(ours, theirs, 40)
    assert found == {0: Alike(2400, 3, False), 1: Alike(2100, 40, True)}
    hashes = [imagehash.hex_to_hash(text) for text in theirs if text]
    for i in range(5):
        both = (imagehash.hex_to_hash(own[i]), imagehash.hex_to_hash(mirrored[i]))
        nearest = min(int(ours_now - other) for ours_now in both for other in hashes)
        assert find_alike({i: ours[i]}, theirs, BITS)[i].distance == nearest


def test_nothing_is_like_nothing() -> None:
    assert find_alike({}, ["00"], 40) == {}
    assert find_alike({0: Looked("", "", "")}, [""], 40) == {}


def test_a_mirror_image_is_told_by_its_own_hash() -> None:
    image = drawn(2)
    looked = Looked("", perceptual_hash(image), perceptual_hash(ImageOps.mirror(image)))
    found = find_alike({0: looked}, [perceptual_hash(ImageOps.mirror(image))], 40)
    assert found == {0: Alike(0, 0, True)}
