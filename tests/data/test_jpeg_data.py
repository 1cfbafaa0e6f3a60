"""JPEGs from which a part of the picture is missing, which libjpeg fills up with grey: found; whole ones never are."""

from __future__ import annotations

import base64
import io
import random
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from babycli.data.jpeg import JpegError
from babycli.data.jpeg_data import check_coded_data
from tests.conftest import Babycli


def scene(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Flat ground, edges and noise, so that blocks of all kinds are in it."""
    rng = random.Random(seed)
    image = Image.new("RGB", size, (90, 120, 60))
    draw = ImageDraw.Draw(image)
    for _ in range(30):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        draw.ellipse((x, y, x + 40, y + 30), fill=(rng.randrange(256), rng.randrange(256), rng.randrange(256)))
    half = (size[0] // 2 + 1, size[1] // 2 + 1)
    image.paste(Image.frombytes("RGB", half, rng.randbytes(half[0] * half[1] * 3)), (0, 0))
    return image


def jpeg(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


WAYS: list[dict[str, object]] = [
    {},
    {"quality": 100, "subsampling": 0},
    {"optimize": True},
    {"restart_marker_blocks": 3},
    {"progressive": True},
    {"progressive": True, "restart_marker_rows": 1},
]
WHOLE = jpeg(scene((200, 150)))
DATA = WHOLE.index(b"\xff\xda") + 14
# With arithmetic coding, which Pillow reads and does not write; the second has restart markers. Written by jpegtran.
ARITHMETIC = base64.b85decode(
    "|JeWF01!$>Nk#wx0RR9200961|JwjV02B@n5)Ta&5)cv>6%-gAG9exu93DL^E+jHZKuk+VKt@GST61DhRc%&9Mr4R(ZFhTtf`Lw8jhBplmUD"
    "iAeE-P+3kU!(06+l&5di<p00saM5C#9*00;pA002J#{{V9DYUb;Ir<$)*>F_kaL~<}ghg0J?J)lVo=&aw$W>prX$%j+-g?n|I0FPOVYE$}#="
    "L*C1#R5b??D{r?$kNlTMR>oW0!GEZM~mhDJ}?o?SG<jN(=TOEVZzo`Tp~GSti^g4u9END3&uPTuJ$lGY~#{D!R?HLdjWBGlT`?7syy-~s~rQ"
    "yn)f~n8^9%7_gA6n7+kz|?HrZ-t)oxSa(@=;HyhpdNOt%jjW_KE8rH$=cJzhKI1PnV;J|2|3R|KCV@Ph&L@|M$r8tTTum=_xTbP%Z!J!=uPr"
    "3dN^BB{i?zd<j=idfTW~DTsx+*fdr-KKR6^=nN8iG933Y%Wue}!>nVQ8o3vg@lz*i{w&;H<vrLMN~7v9OJ>qASXf(J@~8Q`*S-#v*g9W&uL;"
    "z!e++0LHC^^B(`%"
)
ARITHMETIC_RESTARTING = base64.b85decode(
    "|JeWF01!$>Nk#wx0RR9200961|JwjV02B@n5)Ta&5)cv>6%-gAG9exu93DL^E+jHZKuk+VKt@GST61DhRc%&9Mr4R(ZFhTtf`Lw8jhBplmUD"
    "iAeE-P+3kU!(06+l&5di<p00saM5C#9;00aOC|Jncu0RaF2KLGy#a_?&9>wl-3uT$ypG`~c0Fhhq^<2XH_Nek$#-^ylH7Np6CQ}=~?b(;W>S"
    "&M2@`iAEU!2i(w)9%1xWZibsxItxT>aw9iQ;~a+lD;RyS1d7WM=DiC<Y)f76~mKWLB#B^eX$bPfPnwe{nRB{T%({$b}o%sn4@IlkH%=E2GU`"
    "%2Kqaw!Oz@%`8dXt6lpT-JwLk)FgMdM#AHa4CkqF!#b~bXR6ZgoON7~||I+(GHwJ-J&rI%;tsSjP=L}CH(?1mtbQp^&D`aZ7?6zV_!k=kUfD"
    "$)mRESJ?KXk!}4c~wo86D}B8NSuKl~U+qTn#k~xdM08!2i?td?O1g@?#MpaIUBvK?Ig13wYc#S_<N+nOIYVL`mVy4)BvIv+nQmK_e){da=4u"
    "z9vRJDNtCx5P?Mjh_6CU|J3(?@oOaDNlvFE3T$`<*oVvtpF0Vz=N^gw0Dr2;f^4l_1Dck_uNh(AMX4afwz@CYAeBE%g234?fdAP"
)


def is_sound(content: bytes) -> bool:
    try:
        check_coded_data(content)
    except (JpegError, OSError):
        return False
    return True


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_whole_ones_are_sound(options: dict[str, object]) -> None:
    for i, size in enumerate([(1, 1), (8, 8), (17, 9), (120, 90), (90, 121)]):
        for mode in ("RGB", "L", "CMYK"):
            content = jpeg(scene(size, i).convert(mode), **options)
            check_coded_data(content)
            check_coded_data(content + b"what a maker adds")


@pytest.mark.parametrize("colour", ["black", "white", (128, 128, 128)])
@pytest.mark.parametrize("optimize", [False, True])
def test_a_plane_is_no_hole(colour: object, optimize: bool) -> None:
    for mode in ("RGB", "L"):
        image = Image.new("RGB", (900, 700), colour)  # type: ignore[arg-type]
        check_coded_data(jpeg(image.convert(mode), optimize=optimize))


@pytest.mark.parametrize("padding", [bytes(40), b"\xaa" * 40])
def test_padding_of_an_encoder_is_no_fault(padding: bytes) -> None:
    check_coded_data(WHOLE[:-2] + padding + b"\xff\xd9")


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_data_that_end_early_are_seen(options: dict[str, object]) -> None:
    whole = jpeg(scene((200, 150)), **options)
    last = whole.rindex(b"\xff\xda") + 14
    rng = random.Random(str(options))
    for _ in range(15):
        content = whole[: rng.randrange(last, len(whole) - 100)] + b"\xff\xd9"
        Image.open(io.BytesIO(content)).load()  # without a word
        assert not is_sound(content)


def test_every_hole_of_zeros_is_seen() -> None:
    rng = random.Random(1)
    for _ in range(60):
        at, n = rng.randrange(DATA, len(WHOLE) - 600), rng.choice((130, 512))
        content = WHOLE[:at] + bytes(n) + WHOLE[at + n :]
        Image.open(io.BytesIO(content)).load()
        assert not is_sound(content)


def test_most_lost_pieces_are_seen() -> None:
    rng = random.Random(2)
    seen = 0
    for _ in range(60):
        at = rng.randrange(DATA, len(WHOLE) - 600)
        seen += not is_sound(WHOLE[:at] + WHOLE[at + 512 :])
    assert seen > 50


def test_parts_between_restart_markers_in_another_order_are_seen() -> None:
    whole = jpeg(scene((200, 150)), restart_marker_blocks=3)
    first, second = whole.index(b"\xff\xd0"), whole.index(b"\xff\xd1")
    assert is_sound(whole)
    assert not is_sound(whole[:first] + whole[second:])


@pytest.mark.parametrize("whole", [ARITHMETIC, ARITHMETIC_RESTARTING], ids=["plain", "restarting"])
def test_arithmetic_coding_is_looked_at_too(whole: bytes) -> None:
    assert is_sound(whole)
    assert is_sound(whole + b"what a maker adds")
    for share in (0.5, 0.6, 0.7, 0.8):
        content = whole[: int(share * len(whole))] + b"\xff\xd9"
        Image.open(io.BytesIO(content)).load()  # without a word
        assert not is_sound(content)


def test_arithmetic_coding_beyond_what_pillow_reads_is_no_lack_of_data() -> None:
    filled = ARITHMETIC[:2] + b"\xff\xfe\xfe\x00" + bytes(0xFDFE) + ARITHMETIC[2:]
    Image.open(io.BytesIO(filled)).load()
    assert len(filled) < 1 << 16
    assert is_sound(filled)


@pytest.mark.parametrize("whole", [WHOLE, ARITHMETIC], ids=["Huffman", "arithmetic"])
def test_verify_sees_it_at_depth_decode_alone(babycli: Babycli, empty_folder: None, whole: bytes) -> None:
    Path("folder").mkdir()
    content = whole[: len(whole) // 2] + b"\xff\xd9"
    Path("folder/x.jpg").write_bytes(content)
    Path("list").write_text(f"{sha256(content).hexdigest()}  x.jpg\n")
    words = ("data", "verify", "folder", "--manifest", "list", "--depth")
    assert babycli(*words, "header").code == 0
    ran = babycli(*words, "decode")
    assert ran.code == 3
    assert "Truncated" in ran.out
    assert "end before the picture does" in ran.out
