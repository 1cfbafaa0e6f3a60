"""What a line is that no list of SHA-256 or BLAKE3 has, so that a message can name it.

Owns how lists of other programs look. Never reads one.
"""

from __future__ import annotations

import re

from babycli.data.digests import algorithm_named

_BY_DIGITS = {
    32: "MD5",
    40: "SHA-1",
    56: "SHA-224",
    96: "SHA-384",
    128: "SHA-512 or BLAKE2b",
}
_DIGEST = re.compile(r"\\?([0-9a-fA-F]{32,128})(?![0-9a-fA-F])[ \t]")
_TAGGED = re.compile(r"\\?([A-Za-z][A-Za-z0-9/_-]{1,20}) ?\(.+\) ?= ?[0-9A-Za-z+/=]+\s*", re.DOTALL)
_KNOWN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"%%%% HASHDEEP|%%%% size,"), "a list of hashdeep"),
    (re.compile(r"-----BEGIN PGP"), "a list in a PGP signature; take it out:  gpg --decrypt --output FILE SIGNED"),
    (re.compile(r"[A-Z0-9]+ hash of (file )?\S"), "what certutil of Windows writes"),
    (re.compile(r"\"?Algorithm\"?\s*(:|,|Hash\b)"), "what Get-FileHash of PowerShell writes"),
    (re.compile(r"magnet:|ed2k:"), "a link of rhash"),
    (re.compile(r"\d+ blob |\d{6} (blob|tree) "), "a list of git"),
    (re.compile(r"\d+ \d+ \S"), "what cksum writes, a CRC"),
    (re.compile(r".*[^0-9a-fA-F][0-9a-fA-F]{8}\Z", re.DOTALL), "a list of CRC-32 (.sfv)"),
    (re.compile(r"<(!doctype|html|head|\?xml)", re.IGNORECASE), "a web page"),
    (re.compile(r"[{\[]"), "JSON"),
    (re.compile(r"sha\d+-[A-Za-z0-9+/]+=* |(SHA(2-)?256 \(.+\) = )?[A-Za-z0-9+/]{43}=($| )"), "a list in Base64"),
    (re.compile(r"[^,]+,[0-9a-fA-F]{64}\Z|[0-9a-fA-F]{64},", re.DOTALL), "a table with commas"),
)
_END_CHARS = 4096
_NO_TEXT = re.compile("[\0-\x08\x0e-\x1f\ufffd\udc80-\udcff]")


def what_is(line: str) -> str:
    """Says in a few words what a line is, without spaces around it; "" where that is not known."""
    if len(line) > 2 * _END_CHARS:  # longer than any path; a file without line ends would take minutes
        line = line[:_END_CHARS] + line[-_END_CHARS:]
    digest = _DIGEST.match(line)
    if digest is not None and len(digest[1]) in _BY_DIGITS:
        return f"its digests are of {_BY_DIGITS[len(digest[1])]}"
    for pattern, what in _KNOWN:
        if pattern.match(line):
            return f"this is {what}"
    tagged = _TAGGED.fullmatch(line)
    if tagged is not None and algorithm_named(tagged[1]) not in ("sha256", "blake3"):
        return f"its digests are of {tagged[1]}"
    return "this is no text" if _NO_TEXT.search(line) else ""
