"""Any text in characters that pdflatex sets without a package or a font of its own.

Owns how a character is written or, where LaTeX's fonts lack it, told: ``[U+4E2D]``. Never knows what the text means.
"""

from __future__ import annotations

import re
import unicodedata

from babycli.wording import printable

_QUOTED = re.compile('"([^"]*)"')
_APART = "\0"  # between two hyphens, which LaTeX would make a dash of; no printable text has it
_SPECIAL = {
    **{c: "\\" + c for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    '"': "''",  # the upright one is not in every font
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_SIGNS = {
    "±": r"$\pm$",
    "−": r"$-$",
    "…": r"\dots{}",
    "∞": r"$\infty$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "×": r"$\times$",
    "÷": r"$\div$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "°": r"$^\circ$",
    "µ": r"$\mu$",
    "–": "--",
    "—": "---",
    "‐": "-",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "«": r"$\ll$",
    "»": r"$\gg$",
    "•": r"\textbullet{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "©": r"\copyright{}",
    "®": r"\textregistered{}",
    "™": r"\texttrademark{}",
    "¡": "!`",
    "¿": "?`",
    "£": r"\pounds{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "å": r"\aa{}",
    "Å": r"\AA{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0323": "d",
    "\u0327": "c",
}
_GREEK = (
    *(
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
    ),
    *("pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
    *("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"),
)


def latex_text(text: str) -> str:
    """Writes a text for LaTeX: special characters escaped, and nothing that pdflatex would stop at."""
    # A letter and its accents are one character where they can be: an accent alone has no place.
    characters = _QUOTED.sub("“\\1”", unicodedata.normalize("NFC", printable(text)))
    written = "".join(map(_written, characters.replace("--", f"-{_APART}-").replace("--", f"-{_APART}-")))
    # Behind the end of a line of a table, either would be a word to LaTeX.
    return f"{{}}{written}" if written.startswith(("[", "*")) else written


def _written(character: str) -> str:
    if character == _APART:
        return "{}"
    if character.isascii():
        return _SPECIAL.get(character, character)
    return _SIGNS.get(character) or _accented(character) or _greek(character) or _alike(character) or _named(character)


def _accented(character: str) -> str:
    """Writes a letter under its accent; "" for what is none."""
    letter, *accents = list(unicodedata.normalize("NFD", character))
    if len(accents) == 1 and accents[0] in _ACCENTS and letter.isascii() and letter.isalpha():
        base = f"\\{letter}" if letter in "ij" and accents[0] not in ("\u0323", "\u0327") else letter
        return f"\\{_ACCENTS[accents[0]]}{{{base}}}"
    return ""


def _greek(character: str) -> str:
    words = unicodedata.name(character, "").split()
    if words[:1] != ["GREEK"] or len(words) != 4 or words[2] != "LETTER":
        return ""
    name = words[3].lower().replace("lamda", "lambda")
    name = name.capitalize() if words[1] == "CAPITAL" else name
    return f"$\\{name}$" if name in _GREEK else ""


def _alike(character: str) -> str:
    """Writes the plain letters and digits that a character is a form of: ``²``, or a wide or joined letter."""
    kind, _, _ = unicodedata.decomposition(character).partition(" ")
    plain = unicodedata.normalize("NFKC", character)
    if not kind.startswith("<") or not plain.isascii() or not plain.strip():
        return ""
    escaped = "".join(_SPECIAL.get(c, c) for c in plain)
    raised = {"<super>": f"\\textsuperscript{{{escaped}}}", "<sub>": f"$_{{\\mathrm{{{escaped}}}}}$"}
    return raised.get(kind, escaped)


def _named(character: str) -> str:
    """Tells which character it is; one that only chooses how the one before it looks is left out."""
    return "" if "\ufe00" <= character <= "\ufe0f" else f"[U+{ord(character):04X}]"
