"""The LaTeX of the summary: what it says, and that it compiles (`make latex` insists, else without TeX this skips)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from babycli.report.latex import _number
from babycli.report.measure import Cell
from tests.conftest import Babycli
from tests.report.logs import drawn, write_run
from tests.report.test_humans import vtwt_run

ALL = {"labeled_s": 0.6, "vtwt": 0.7, "baby_winoground": 0.3, "saycam_caption": 0.2}
DOCUMENT = r"""\documentclass[%s]{article}
\usepackage{booktabs,siunitx,etoolbox,graphicx,longtable}
\robustify\bfseries
\sisetup{detect-weight=true,mode=text}
\begin{document}
%s
\end{document}
"""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    write_run(root, "lab/best_of&all 100%#{}~^\\$", drawn(1, ALL))
    write_run(root, "lab/worse", drawn(2, {task: share - 0.15 for task, share in ALL.items()}))
    write_run(root, "lab/equal", drawn(3, {"vtwt": 0.7}))
    write_run(root, "lab/worse", drawn(4, {"vtwt": 0.5}), control="blind", date="20260102_120000")
    write_run(root, "lab/suspicious", drawn(5, {"vtwt": 0.8}), control="shuffled")
    return root


def row(latex: str, name: str) -> list[str]:
    (line,) = [line for line in latex.splitlines() if line.startswith(name + " &")]
    return [cell.strip(" \\") for cell in line.split("&")[1:]]


def test_bold_is_better_than_every_other(logs: Path, babycli: Babycli) -> None:
    latex = babycli("report", logs, "--format", "latex").out
    (line,) = [line for line in latex.splitlines() if line.startswith("lab/best")]
    cells = [cell.strip() for cell in line.split(" & ")]
    assert r"\bfseries" in cells[1]  # Labeled-S: 60 against 45
    assert r"\bfseries" not in cells[2]  # VTWT: 70 against 70
    assert re.fullmatch(r"\d\d\.\d\{\$\^\{\*\*\*\}\$\}", row(latex, "lab/worse")[0])
    assert re.fullmatch(r"\d\d\.\d", row(latex, "lab/equal")[1])


def test_the_caption_names_n_test_and_intervals(logs: Path, babycli: Babycli) -> None:
    latex = babycli("report", logs, "--format", "latex", "--baselines", "paper").out
    (caption,) = re.findall(r"\\caption\{(.*)\}", latex)
    for said in (
        "2200 trials",
        "967 trials",
        "365 instances",
        "294 captions",
        "exact McNemar",
        "Holm",
        "cluster-aware",
    ):
        assert said in caption
    assert "CONTROLS ABOVE CHANCE" in caption
    assert "not measured" in caption
    assert r"\textit{CVCL}\textsuperscript{\dag}" in latex


@pytest.mark.parametrize(
    ("models", "tasks", "said"),
    [
        (("a", "b"), ("vtwt",), "paired bootstrap for ties. Controls take no part"),  # one test needs no correction
        (("a", "b", "c"), ("vtwt",), "Holm's correction over the 2 comparisons of this table."),
        (("a", "b", "c", "d"), ("vtwt", "labeled_s"), "Holm's correction over the 6 comparisons of this table."),
    ],
)
def test_the_caption_says_over_how_many_comparisons_the_correction_is(
    models: tuple[str, ...], tasks: tuple[str, ...], said: str, tmp_path: Path, babycli: Babycli
) -> None:
    # Each model but the best is tested against it, in each column.
    for i, model in enumerate(models):
        write_run(tmp_path, model, drawn(i, dict.fromkeys(tasks, 0.5 + i / 10)))
    write_run(tmp_path, "z", drawn(9, dict.fromkeys(tasks, 0.5)), control="blind")  # takes no part
    latex = babycli("report", tmp_path, "--format", "latex").out
    assert said in latex


def test_a_single_model_is_not_bold(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "m", drawn(1, ALL))
    latex = babycli("report", tmp_path, "--format", "latex").out
    assert r"\bfseries " not in latex
    assert "Bold" not in latex


def test_runs_on_other_data_are_not_tested_against_each_other(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "a", drawn(1, {"vtwt": 0.9}))
    write_run(tmp_path, "b", drawn(2, {"vtwt": 0.5}), images_sha256={"vtwt": "others"})
    latex = babycli("report", tmp_path, "--format", "latex").out
    assert r"\bfseries " not in latex
    assert "***" not in latex.split(r"\midrule")[1]


def test_a_caption_of_groups_names_model_and_unit_and_speaks_of_no_other_form(logs: Path, babycli: Babycli) -> None:
    for models, by, told in (
        ("lab/worse", "word", r"VTWT acc by word of lab/worse. Shares of 100 \%; n: trials in a group."),
        ("lab/worse,lab/equal", "word", r"VTWT acc by word: [1] lab/worse; [2] lab/equal. Shares of 100 \%; n: trials"),
        (
            "lab/worse",
            "session",
            r"Caption METEOR by session of lab/worse. METEOR $\times$ 100; n: captions in",
        ),
    ):
        words = ("--models", models, "--no-controls", "--by", by, "--format", "latex")
        captions = re.findall(r"\\caption\{(.*)\}", babycli("report", logs, *words).out)
        assert any(caption.startswith(told) for caption in captions), captions
        assert "--format" not in "".join(captions)


@pytest.mark.parametrize(
    "words",
    [
        ("--compare", "lab/worse", "best_of", "--items"),
        pytest.param(("--baselines", "paper"), marks=pytest.mark.long),
        pytest.param(("--compare", "lab/worse", "best_of"), marks=pytest.mark.long),
        pytest.param(("--by", "word"), marks=pytest.mark.long),
        pytest.param(("--by", "session"), marks=pytest.mark.long),
    ],
    ids=" ".join,
)
def test_it_compiles(words: tuple[str, ...], logs: Path, tmp_path: Path, babycli: Babycli) -> None:
    compile_latex(tmp_path, babycli("report", logs, "--format", "latex", *words).out)


def compile_latex(tmp_path: Path, latex: str) -> None:
    if shutil.which("pdflatex") is None:
        assert not os.environ.get("BABYCLI_TEST_LATEX"), "pdflatex is not there"
        pytest.skip("needs pdflatex: Debian's texlive-latex-extra and texlive-science")
    for columns in ("onecolumn", "twocolumn"):
        compile_in(columns, tmp_path, latex)


def compile_in(columns: str, tmp_path: Path, latex: str) -> None:
    (tmp_path / "table.tex").write_text(DOCUMENT % (columns, latex))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "table.log").read_text(errors="replace")
    assert "Missing character" not in log
    assert "Overfull" not in log
    assert "Float too large" not in log


ODD_NAMES = {
    "émile-ñandú-Žižek-Öl-íj": r"\'{e}mile-\~{n}and\'{u}-\v{Z}i\v{z}ek-\"{O}l-\'{\i}j",
    "łódź ßæøåœ": r"\l{}\'{o}d\'{z} \ss{}\ae{}\o{}\aa{}\oe{}",
    "baby🍼👶🏽": "baby[U+1F37C][U+1F476][U+1F3FD]",
    "❤️": "{}[U+2764]",
    "模型": "{}[U+6A21][U+578B]",
    "نموذج": "{}[U+0646][U+0645][U+0648][U+0630][U+062C]",
    "z̈q̃e\u0301": "z[U+0308]q[U+0303]\\'{e}",
    "α=0.5, Ω": r"$\alpha$=0.5, $\Omega$",
    "10² H₂O ﬁ Ａ": r"10\textsuperscript{2} H$_{\mathrm{2}}$O fi A",
    "a--b---c": "a-{}-b-{}-{}-c",
    "“q” ‘s’ – — ≤ ° µ €": r"``q'' `s' -- --- $\leq$ $^\circ$ $\mu$ [U+20AC]",
    'say "a b" and "c"': "say ``a b'' and ``c''",
    'a|b"c`d': r"a\textbar{}b''c\textasciigrave{}d",
    "bell\x07esc\x1b[31m": r"bell\textbackslash{}x07esc\textbackslash{}x1b[31m",
    "[0pt] *b": "{}[0pt] *b",
    "two\nlines\ttab": "two lines tab",
}


def test_any_name_is_set_or_told(tmp_path: Path, babycli: Babycli) -> None:
    for seed, name in enumerate(ODD_NAMES):
        write_run(tmp_path / "logs", name, drawn(seed, {"vtwt": 0.6}, {"vtwt": 40}))
    latex = babycli("report", tmp_path / "logs", "--format", "latex").out
    for told in ODD_NAMES.values():
        assert f"\n{told} & " in latex
    assert "\n".join(line for line in latex.splitlines() if not line.startswith("%")).isascii()
    first, second = list(ODD_NAMES)[:2]
    compared = babycli("report", tmp_path / "logs", "--format", "latex", "--compare", first, second).out
    assert r"\l{}\'{o}d\'{z}" in compared
    compile_latex(tmp_path, latex + compared)


def test_many_models_go_over_several_pages(tmp_path: Path, babycli: Babycli) -> None:
    for i in range(40):
        write_run(tmp_path, f"lab/model{i}", drawn(i, {"vtwt": 0.6}))
    latex = babycli("report", tmp_path, "--format", "latex").out
    assert r"\begin{longtable}" in latex
    assert r"\begin{table" not in latex


def test_n_stands_under_its_head_and_controls_are_said_to_take_no_part(logs: Path, babycli: Babycli) -> None:
    latex = babycli("report", logs, "--format", "latex").out
    assert row(latex, "$n$") == ["{2200}", "{967}", *["{365}"] * 5, "{294}"]
    said = "Controls take no part in these tests."
    assert said in latex
    assert said not in babycli("report", logs, "--format", "latex", "--no-controls").out


def test_a_table_of_many_columns_is_one_for_each_benchmark(tmp_path: Path, babycli: Babycli) -> None:
    of_devcv = ("baby_pv", "baby_localize", "baby_leftright", "baby_spatialdetails", "baby_vdr_binary", "baby_vdr_open")
    units = dict.fromkeys((*ALL, *of_devcv), 30)
    values = drawn(1, dict.fromkeys(units, 0.5), units)
    written = {
        t: {m: of for m, of in ms.items() if not m.endswith(("chosen", "reference"))} for t, ms in values.items()
    }
    write_run(tmp_path, "lab/a", written, with_groups=False)
    ran = babycli("report", tmp_path, "--format", "latex")
    assert ran.code == 0, ran.err
    assert re.findall(r"\\label\{(.*?)\}", ran.out) == ["tab:babyvlm", "tab:devcv-2"]
    first, second = ran.out.split(r"\end{table*}")[:2]
    assert ("Labeled-S" in first, "Localiz" in first) == (True, False)
    assert ("Labeled-S" in second, "Localiz" in second) == (False, True)
    assert "made too small to read" not in ran.err
    more = ("baby_compare_real", "baby_compare_synthetic", "baby_count", "baby_memory", "baby_subitize")
    units |= dict.fromkeys(more, 30)
    write_run(tmp_path, "lab/b", drawn(2, dict.fromkeys(units, 0.5), units), with_groups=False)
    ran = babycli("report", tmp_path, "--format", "latex")
    assert "columns is made too small to read; choose some:  --metrics main  or  --tasks A,B" in ran.err
    ran = babycli("report", tmp_path, "--format", "latex", "--metrics", "main")
    assert "too small" not in ran.err


MANY_WORDS = "an-early-checkpoint-of-a-model-that-is-called-after-all-of-its-settings-and-more"


def test_ties_are_marked_and_explained_as_in_the_table_of_text(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "lab/a", drawn(1, {"vtwt": 0.7, "labeled_s": 0.5}), ties={"vtwt": [3, 4, 5]})
    write_run(tmp_path, "lab/b", drawn(2, {"vtwt": 0.7, "labeled_s": 0.5}))
    latex = babycli("report", tmp_path, "--format", "latex").out
    assert row(latex, "lab/a")[1].endswith("{$^{=}$}")
    assert "=" not in "".join([row(latex, "lab/a")[0], *row(latex, "lab/b")])
    (caption,) = re.findall(r"\\caption\{(.*)\}", latex)
    assert re.search(r" =: ties: .*: lab/a vtwt 3\.", caption)


def test_counts_of_many_rows_are_beside_the_table_and_every_mark_can_be_set(tmp_path: Path, babycli: Babycli) -> None:
    logs = tmp_path / "logs"
    for i in range(12):
        write_run(
            logs, f"lab/model-{i}", drawn(i, {"vtwt": 0.7, "labeled_s": 0.5}), ties={"vtwt": [1], "labeled_s": [2]}
        )
    latex = babycli("report", logs, "--format", "latex").out
    (caption,) = re.findall(r"\\caption\{(.*)\}", latex)
    assert "lab/model-7" not in caption
    assert " =: ties: " in caption
    assert re.search(r"^% =: .*lab/model-7 vtwt 1, labeled\_s 1;", latex, flags=re.MULTILINE)
    cell = Cell(0.5, 20, ci95=(0.4, 0.6), n_ties=1, n_unanswered=1, n_no_answer=1)
    assert _number(("vtwt", "acc"), cell, "m", None) == r"50.0{$^{=?\sim}$}"
    compile_latex(tmp_path, latex.replace("{$^{=}$}", r"{$^{=?\sim}$}"))


def test_the_widest_mark_of_a_column_has_room(tmp_path: Path, babycli: Babycli) -> None:
    shares = {"labeled_s": 0.8, "vtwt": 0.9}
    write_run(tmp_path / "logs", "a", drawn(1, shares))
    write_run(tmp_path / "logs", "b", drawn(2, {"labeled_s": 0.3, "vtwt": 0.86}), ties={"vtwt": [1]})
    write_run(tmp_path / "logs", "c", drawn(3, {"labeled_s": 0.3}), ties={"labeled_s": [1]})
    latex = babycli("report", tmp_path / "logs", "--format", "latex").out
    rooms = re.findall(r"table-space-text-post=\{(.*?)\}\]", latex)
    assert rooms[0] == "$^{***=}$"
    compile_latex(tmp_path, latex)


def test_a_long_name_goes_on_below_and_the_numbers_stay_as_large(tmp_path: Path, babycli: Babycli) -> None:
    for seed, name in enumerate((f"lab/{MANY_WORDS}-1", f"lab/{MANY_WORDS}-2")):
        write_run(tmp_path / "logs", name, drawn(seed, {"vtwt": 0.7}))
    latex = babycli("report", tmp_path / "logs", "--format", "latex").out
    assert all(len(line.partition(" & ")[0]) <= 32 for line in latex.splitlines() if " & " in line)
    names = [line.partition(" & ")[0] for line in latex.splitlines() if line.endswith(r"\\")]
    assert f"lab/{MANY_WORDS}-1lab/{MANY_WORDS}-2" in "".join(names)
    compile_latex(tmp_path, latex)


def test_differences_line_up_at_their_points(tmp_path: Path, babycli: Babycli) -> None:
    write_run(tmp_path, "a", drawn(1, {"labeled_s": 0.6, "vtwt": 0.7, "baby_winoground": 0.3}))
    write_run(tmp_path, "b", drawn(2, {"labeled_s": 0.5, "vtwt": 0.7, "baby_winoground": 0.3}))
    latex = babycli("report", tmp_path, "--format", "latex", "--compare", "a", "b").out
    lines = [line for line in latex.splitlines() if line.count(" & ") == 7 and line[:4] != "task"]
    differences = [line.split(" & ")[2] for line in lines]
    behind = [re.sub(r"\\phantom|[{}]", "", text.partition(".")[2]) for text in differences]
    assert {len(text) for text in behind} == {len("8***")}
    assert any("phantom" in text for text in differences)
    assert r"\begin{table*}" in latex


def test_the_caption_of_a_comparison_has_the_signs_of_a_paper(logs: Path, babycli: Babycli) -> None:
    words = ("report", logs, "--compare", "best_of", "lab/worse")
    assert "METEOR x 100, over the same trials" in " ".join(babycli(*words).out.split())
    assert (
        r"METEOR $\times$ 100, over the same trials; paired 95 \% interval" in babycli(*words, "--format", "latex").out
    )


def test_a_table_of_several_pages_leaves_two_columns_and_comes_back(tmp_path: Path, babycli: Babycli) -> None:
    for i in range(24):
        write_run(tmp_path / "logs", f"lab/model{i}", drawn(i, {"vtwt": 0.6}, {"vtwt": 40}))
    latex = babycli("report", tmp_path / "logs", "--format", "latex").out
    assert r"\begin{longtable}" in latex
    compile_latex(tmp_path, latex)


@pytest.mark.long
def test_a_list_over_several_pages_fits_them_and_has_one_caption(tmp_path: Path, babycli: Babycli) -> None:
    for i in range(2):
        for day, control in enumerate((None, "blind"), 1):
            model, scores = f"lab/a_model_of_many_words_{i}", [[-1.0, -2.0], [-4.0, -5.0]]
            vtwt_run(tmp_path / "logs", model, scores, control=control, date=f"2026010{day}_120000")
    people = "".join(f"{t},right {t},0.7,9,{age}\n{t},wrong {t},0.3,9,{age}\n" for t in (0, 1) for age in range(9))
    (tmp_path / "people.csv").write_text(f"trial,option,share,n,age\n{people}")
    words = ("--humans", tmp_path / "people.csv", "--format", "latex")
    latex = babycli("report", tmp_path / "logs", *words).out
    assert latex.count(r"\endfirsthead") == latex.count(r"\begin{longtable}") == 1
    compile_latex(tmp_path, latex)


def test_heads_are_short_where_titles_would_make_the_table_too_small(tmp_path: Path, babycli: Babycli) -> None:
    tasks = ("baby_pv", "baby_localize", "baby_leftright", "baby_vdr_binary", "baby_vdr_open", "baby_compare_real")
    units = dict.fromkeys(tasks, 30)
    write_run(tmp_path, "m", drawn(1, dict.fromkeys(tasks, 0.5), units), with_groups=False)
    few = babycli("report", tmp_path, "--format", "latex", "--metrics", "main", "--tasks", "baby_pv,baby_vdr_open").out
    assert "}{c}{Visual Delayed Response (8 choices)}" in few
    many = babycli("report", tmp_path, "--format", "latex", "--metrics", "main").out
    assert "}{c}{VDR 8}" in many
    (caption,) = re.findall(r"\\caption\{(.*)\}", many)
    assert "Visual Delayed Response (8 choices)" in caption
