"""What a file is, by its first bytes, so that a message can name it.

Owns the marks of formats, of what is none of babycli's and of what is often found in the place of an image or a zip.
Never reads a file.
"""

from __future__ import annotations

import re

ZIP = "a zip"
_ARCHIVE_MARKS = (
    (0, re.compile(rb"\x1f\x8b"), "a gzip file"),
    (0, re.compile(rb"\xfd7zXZ\x00"), "an xz file"),
    (0, re.compile(rb"BZh[1-9]1AY"), "a bzip2 file"),
    (0, re.compile(rb"\x28\xb5\x2f\xfd"), "a Zstandard file"),
    (0, re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive"),
    (0, re.compile(rb"Rar!\x1a\x07"), "a RAR archive"),
    (257, re.compile(rb"ustar"), "a tar archive"),
)
ARCHIVES = frozenset(what for _, _, what in _ARCHIVE_MARKS)  # beside a zip
_LENGTH_BYTES = 512  # of what is looked at, from a mark's place on
_BOM = rb"(\xef\xbb\xbf)?"
# Where to look, for which bytes, and what they tell. The first that fits counts.
_MARKS: tuple[tuple[int, re.Pattern[bytes], str], ...] = (
    (0, re.compile(rb"\xff\xd8"), "JPEG"),
    (0, re.compile(rb"\x89PNG"), "PNG"),
    (0, re.compile(rb"GIF8"), "GIF"),
    (0, re.compile(rb"II[*+]\x00|MM\x00[*+]"), "TIFF"),
    (0, re.compile(rb"BM.{4}\x00{4}", re.DOTALL), "BMP"),
    (0, re.compile(rb"P[1-6]\s"), "PPM"),
    (8, re.compile(rb"WEBP"), "WebP"),
    (4, re.compile(rb"ftypavi[fs]"), "AVIF"),
    (4, re.compile(rb"ftyp(hei|hev|mif1|msf1)"), "HEIC"),
    (0, re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), "JPEG 2000"),
    (0, re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n"), "JPEG XL"),
    (0, re.compile(rb"8BPS"), "a Photoshop file"),
    (0, re.compile(rb"\x00\x00[\x01\x02]\x00[^\x00]"), "an icon"),
    (0, re.compile(rb"icns"), "an icon of macOS"),
    (0, re.compile(rb"\x00[\x00\x01][\x01-\x03\x09-\x0b]\x00\x00"), "TGA"),
    (0, re.compile(rb"\x0a[\x00-\x05]\x01[\x01\x02\x04\x08]"), "PCX"),
    (0, re.compile(rb"\x01\xda[\x00\x01][\x01\x02]"), "SGI"),
    (0, re.compile(rb"DDS "), "DDS"),
    (0, re.compile(rb"qoif"), "QOI"),
    (0, re.compile(rb"P7\n"), "PAM"),
    (0, re.compile(rb"P[Ff]\n"), "PFM"),
    (0, re.compile(rb"\s*/\* XPM \*/"), "XPM"),
    (0, re.compile(rb"\s*#define "), "XBM"),
    (0, re.compile(rb"SIMPLE  ="), "FITS"),
    (0, re.compile(rb"\x76\x2f\x31\x01"), "OpenEXR"),
    (0, re.compile(rb"#\?(RADIANCE|RGBE)"), "Radiance HDR"),
    (0, re.compile(rb"\xd7\xcd\xc6\x9a|\x01\x00\x00\x00.{36} EMF", re.DOTALL), "a Windows metafile"),
    (128, re.compile(rb"DICM"), "DICOM"),
    (0, re.compile(rb"\x93NUMPY"), "an array of NumPy"),
    (0, re.compile(rb"\x89HDF\r\n"), "HDF5"),
    (0, re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "a file of Microsoft Office, or Thumbs.db"),
    (0, re.compile(rb"\x00\x00\x00\x01Bud1"), ".DS_Store, which macOS puts into folders"),
    (0, re.compile(rb"\xc5\xd0\xd3\xc6"), "PostScript"),
    (0, re.compile(rb"%PDF"), "PDF"),
    (0, re.compile(rb"%!PS"), "PostScript"),
    (0, re.compile(rb"PK\x03\x04"), ZIP),
    *_ARCHIVE_MARKS,
    (0, re.compile(rb"\x00\x05\x16\x07"), "an AppleDouble file, which macOS puts beside the real one"),
    (0, re.compile(rb"version https://git-lfs"), "a pointer of Git LFS; get the file itself:  git lfs pull"),
    (0, re.compile(rb"/annex/objects/"), "a pointer of git-annex; get the file itself:  git annex get ."),
    (
        0,
        re.compile(_BOM + rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!doctype svg[^>]*>\s*)*<svg", re.I | re.DOTALL),
        "SVG",
    ),
    (0, re.compile(_BOM + rb"\s*(<!--.*?-->\s*)*<(!doctype html|html|head)", re.I | re.DOTALL), "a web page"),
    (0, re.compile(_BOM + rb"\s*<\?xml", re.I), "XML, which a server may send instead of a file"),
    (0, re.compile(_BOM + rb"\s*(\{\s*[\"}]|\[\s*[\"{\[\]])"), "JSON, which a server may send instead of a file"),
    (4, re.compile(rb"ftyp"), "a video"),
    (0, re.compile(rb"\x1aE\xdf\xa3|\x00\x00\x01[\xb3\xba]|FLV\x01|RIFF.{4}AVI ", re.DOTALL), "a video"),
    (0, re.compile(rb"\x00{32}"), "zeros, as where a download was not filled up"),
)


def what_begins(content: bytes) -> str | None:
    """Tells what a file is from its first bytes, of which 1 kB is enough; None where that is not known."""
    return next((what for at, mark, what in _MARKS if mark.match(content[at : at + _LENGTH_BYTES])), None)
